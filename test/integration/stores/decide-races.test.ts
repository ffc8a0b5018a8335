import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { decideReservations } from '../../../src/orders/decide.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { createSale } from '../../factories/sales.ts'
import { randomOf } from '../../support/random.ts'
import { accepted, buyerIds, expectConserved, receive, tally, toldOf } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('decideReservations with too few units or many batches at once', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  it('gives the units to who reserved first when Redis promised more than there are', async () => {
    const eventId = await createSale(world, { stock: 4 })
    const rids = await receive(world, eventId, await buyerIds(world, 10))
    const verdicts = await decideReservations(world.knex, randomOf(1).shuffled(rids))
    const ordered = verdicts.filter(({ kind }) => kind === 'ordered').map(({ rid }) => rid)
    expect(ordered.sort()).to.deep.equal(rids.slice(0, 4))
    expect(tally(verdicts)).to.deep.equal({ ordered: 4, sold_out: 6 })
    expect(await expectConserved(world.knex, eventId)).to.equal(0)
    const released = await toldOf(world.knex, 'stock.released')
    expect(released).to.include.members(rids.slice(4)).and.not.include.members(rids.slice(0, 1))
  })

  it('leaves no claim to a buyer whose reservation was sold out', async () => {
    const eventId = await createSale(world, { stock: 1 })
    const buyers = await buyerIds(world, 2)
    const rids = await receive(world, eventId, buyers)
    await decideReservations(world.knex, rids)
    const claims = await world.knex('spike_orders').where({ event_id: eventId })
    expect(claims).to.have.length(1)
    await world.knex('spike_events').where({ id: eventId }).update({ granted: 2, available: 1 })
    const loser = buyers.find((userId) => userId !== claims[0].user_id) ?? ''
    const [again = ''] = await receive(world, eventId, [loser])
    expect(tally(await decideReservations(world.knex, [again]))).to.deep.equal({ ordered: 1 })
  })

  it('passes over a claim that is too large and serves a smaller one behind it', async () => {
    const eventId = await createSale(world, { stock: 4, perUserLimit: 3 })
    const buyers = await buyerIds(world, 3)
    const messages = buyers.map((userId, i) => accepted(eventId, userId, { quantity: [3, 2, 1][i] ?? 1 }))
    await receiveReservations(world.knex, messages)
    const verdicts = await decideReservations(
      world.knex,
      messages.map(({ rid }) => rid),
    )
    expect(verdicts.map(({ kind }) => kind)).to.deep.equal(['ordered', 'void', 'ordered'])
    expect(await expectConserved(world.knex, eventId)).to.equal(0)
  })

  it('makes one order a rid when eight batches decide the same rids in different orders', async () => {
    const eventId = await createSale(world, { stock: 200 })
    const rids = await receive(world, eventId, await buyerIds(world, 100))
    const random = randomOf(8)
    const batches = Array.from({ length: 8 }, () => random.shuffled(rids).slice(0, 80))
    const answers = await Promise.all(batches.map((batch) => decideReservations(world.knex, batch)))
    const orderOf = new Map<string, string>()
    for (const verdict of answers.flat()) {
      if (verdict.kind !== 'ordered') throw new Error(`${verdict.rid} is ${verdict.kind}`)
      expect(orderOf.get(verdict.rid) ?? verdict.orderId, 'the same order for each asker').to.equal(
        verdict.orderId,
      )
      orderOf.set(verdict.rid, verdict.orderId)
    }
    const count = await world.knex('orders').where({ event_id: eventId }).count({ n: '*' }).first()
    expect(count?.n).to.equal(orderOf.size)
    expect(await expectConserved(world.knex, eventId)).to.equal(200 - orderOf.size)
  })

  it('sells exactly what there is when eight batches want three times as much', async () => {
    const eventId = await createSale(world, { stock: 50 })
    const rids = await receive(world, eventId, await buyerIds(world, 160))
    const batches = Array.from({ length: 8 }, (_, i) => rids.slice(i * 20, i * 20 + 20))
    const answers = await Promise.all(batches.map((batch) => decideReservations(world.knex, batch)))
    expect(tally(answers.flat())).to.deep.equal({ ordered: 50, sold_out: 110 })
    expect(await expectConserved(world.knex, eventId)).to.equal(0)
  })

  it('keeps two events apart when batches over both run out of units together', async () => {
    const events = [await createSale(world, { stock: 15 }), await createSale(world, { stock: 25 })] as const
    const buyers = await buyerIds(world, 80)
    const messages = buyers.flatMap((userId) => events.map((eventId) => accepted(eventId, userId)))
    await receiveReservations(world.knex, messages)
    const rids = randomOf(2).shuffled(messages.map(({ rid }) => rid))
    const batches = Array.from({ length: 8 }, (_, i) => rids.slice(i * 20, i * 20 + 20))
    const answers = await Promise.all(batches.map((batch) => decideReservations(world.knex, batch)))
    expect(tally(answers.flat())).to.deep.equal({ ordered: 40, sold_out: 120 })
    for (const eventId of events) expect(await expectConserved(world.knex, eventId)).to.equal(0)
  })

  it('gives a buyer one live claim when many batches bring one reservation of theirs each', async () => {
    const eventId = await createSale(world, { stock: 50 })
    const [userId = ''] = await buyerIds(world, 1)
    const rids = await receive(
      world,
      eventId,
      Array.from({ length: 8 }, () => userId),
    )
    const answers = await Promise.all(rids.map((rid) => decideReservations(world.knex, [rid])))
    expect(tally(answers.flat())).to.deep.equal({ ordered: 1, duplicate: 7 })
    expect(await expectConserved(world.knex, eventId)).to.equal(49)
  })
})
