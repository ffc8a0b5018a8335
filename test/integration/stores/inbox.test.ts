import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { decideReservations } from '../../../src/orders/decide.ts'
import { findReservations, receiveReservations, undecidedReservations } from '../../../src/orders/inbox.ts'
import { createSale } from '../../factories/sales.ts'
import { accepted, buyerIds, receive } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the inbox', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  it('keeps a reservation as undecided, with everything that it tells', async () => {
    const message = accepted(uuidv7(), uuidv7(), { quantity: 2, epoch: 3, reserved_at_ms: 1_700_000_000_123 })
    await receiveReservations(world.knex, [message])
    const row = await world.knex('reservations').where({ rid: message.rid }).first()
    const { reserved_at_ms: reservedAtMs, ...told } = message
    expect(row).to.include({ ...told, status: 'undecided', void_reason: null, decided_at: null })
    expect(row.reserved_at.getTime()).to.equal(reservedAtMs)
  })

  it('takes a batch twice, and a rid twice in a batch, as once', async () => {
    const eventId = uuidv7()
    const batch = [accepted(eventId, uuidv7()), accepted(eventId, uuidv7())]
    await receiveReservations(world.knex, [...batch, ...batch])
    const before = await world.knex('reservations').where({ event_id: eventId }).orderBy('rid')
    await receiveReservations(world.knex, batch)
    expect(before).to.have.length(2)
    expect(await world.knex('reservations').where({ event_id: eventId }).orderBy('rid')).to.deep.equal(before)
  })

  it('does not let a redelivery change what is there: neither the verdict nor the quantity', async () => {
    const eventId = await createSale(world)
    const message = accepted(eventId, (await buyerIds(world, 1))[0] ?? '')
    await receiveReservations(world.knex, [message])
    await decideReservations(world.knex, [message.rid])
    const before = await findReservations(world.knex, [message.rid])
    await receiveReservations(world.knex, [{ ...message, quantity: 9 }])
    expect(await findReservations(world.knex, [message.rid])).to.deep.equal(before)
    expect(before[0]).to.include({ status: 'ordered', quantity: 1, order_status: 'pending' })
  })

  it('takes nothing of an empty batch', async () => {
    await receiveReservations(world.knex, [])
    expect(await findReservations(world.knex, [uuidv7()])).to.deep.equal([])
  })

  it('takes overlapping batches in opposite orders at the same time', async () => {
    const eventId = uuidv7()
    const batch = Array.from({ length: 100 }, () => accepted(eventId, uuidv7()))
    const batches = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? batch : batch.toReversed()))
    await Promise.all(batches.map((each) => receiveReservations(world.knex, each)))
    const count = await world.knex('reservations').where({ event_id: eventId }).count({ n: '*' }).first()
    expect(count?.n).to.equal(100)
  })

  it('finds those that wait too long for their verdict, page by page in the order of their rids', async () => {
    const eventId = await createSale(world)
    await world.knex('reservations').where({ status: 'undecided' }).delete()
    const [fresh = '', old = '', older = '', decided = ''] = await receive(
      world,
      eventId,
      await buyerIds(world, 4),
    )
    for (const [rid, seconds] of [
      [old, 60],
      [older, 90],
      [decided, 120],
    ] as const)
      await world
        .knex('reservations')
        .where({ rid })
        .update({ received_at: world.knex.raw(`now() - ? * interval '1 second'`, [seconds]) })
    await decideReservations(world.knex, [decided])
    const waiting = async (olderThanS: number, limit: number, after?: string) =>
      (await undecidedReservations(world.knex, { olderThanS, limit, after })).map(({ rid }) => rid)
    const [first = '', second = ''] = [older, old].toSorted()
    expect(await waiting(30, 10)).to.deep.equal([first, second])
    expect(await waiting(30, 1)).to.deep.equal([first])
    expect(await waiting(30, 10, first)).to.deep.equal([second])
    expect(await waiting(-1, 10)).to.deep.equal([older, old, fresh].toSorted())
  })
})
