import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { closeLapsedOrders } from '../../../src/orders/close.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { findReservations, receiveReservations } from '../../../src/orders/inbox.ts'
import { purchaseTimeline } from '../../../src/orders/timeline.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import {
  accepted,
  buyerIds,
  expectConserved,
  letLapse,
  order,
  receive,
  tally,
  toldOf,
} from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('decideReservations', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  it('makes one order with its item, its claim, its deadline and its message for each reservation', async () => {
    const eventId = await createSale(world, { spikePrice: 250, perUserLimit: 3, paymentWindowS: 600 })
    const [userId = ''] = await buyerIds(world, 1)
    const [rid = ''] = await receive(world, eventId, [userId], { quantity: 3 })
    const [verdict] = await decideReservations(world.knex, [rid])
    if (verdict?.kind !== 'ordered') throw new Error(`not ordered: ${verdict?.kind}`)
    expect(verdict).to.include({ rid, eventId, userId, quantity: 3 })
    const { knex } = world
    const id = verdict.orderId
    const row = await knex('orders').where({ id }).first()
    expect(row).to.include({ user_id: userId, event_id: eventId, reservation_id: rid, status: 'pending' })
    expect(row).to.include({ amount: 750, currency: 'CNY' })
    expect(row.expires_at.getTime()).to.equal(verdict.expiresAtMs)
    expect(row.expires_at - row.created_at, 'payment window').to.equal(600_000)
    const items = await knex('order_items').where({ order_id: id }).select('quantity', 'unit_price')
    expect(items).to.deep.equal([{ quantity: 3, unit_price: 250 }])
    expect(await knex('spike_orders').where({ reservation_id: rid }).first()).to.include({
      event_id: eventId,
      user_id: userId,
      order_id: id,
      quantity: 3,
      live: true,
    })
    const told = await knex('outbox').where({ topic: 'order.created', key: id }).select('payload')
    expect(told).to.deep.equal([{ payload: { order_id: id, expires_at_ms: verdict.expiresAtMs } }])
    expect(await expectConserved(knex, eventId)).to.equal(7)
  })

  it('tells of orders with the same deadline in one message, of others in theirs', async () => {
    const { knex } = world
    const [one, other] = [await createSale(world, { paymentWindowS: 600 }), await createSale(world)]
    const [first = '', second = '', third = ''] = await buyerIds(world, 3)
    const rids = [...(await receive(world, one, [first, second])), ...(await receive(world, other, [third]))]
    const orders = (await decideReservations(knex, rids)).map((verdict) => {
      if (verdict.kind !== 'ordered') throw new Error(`it is ${verdict.kind}`)
      return verdict
    })
    const told = await knex('outbox')
      .whereIn(
        'key',
        orders.map(({ orderId }) => orderId),
      )
      .pluck('payload')
    expect(told).to.have.deep.members([
      { order_id: orders[0]?.orderId, expires_at_ms: orders[0]?.expiresAtMs, others: [orders[1]?.orderId] },
      { order_id: orders[2]?.orderId, expires_at_ms: orders[2]?.expiresAtMs },
    ])
    expect(orders[0]?.expiresAtMs).to.equal(orders[1]?.expiresAtMs)
    for (const { orderId, rid } of orders) {
      const words = (await purchaseTimeline(knex, { orderId, rids: [rid] })).map(({ what }) => what)
      expect(words).to.deep.equal(['reserved', 'received', 'ordered', 'told', 'decided'])
    }
  })

  it('answers in the order that it was asked in, and names what it never received', async () => {
    const eventId = await createSale(world)
    const rids = await receive(world, eventId, await buyerIds(world, 3))
    const asked = [rids[2] ?? '', uuidv7(), rids[0] ?? '', rids[1] ?? '']
    const verdicts = await decideReservations(world.knex, asked)
    expect(verdicts.map(({ rid }) => rid)).to.deep.equal(asked)
    expect(verdicts.map(({ kind }) => kind)).to.deep.equal(['ordered', 'unknown', 'ordered', 'ordered'])
  })

  it('reads the verdicts when it is run again, and changes nothing', async () => {
    const eventId = await createSale(world, { stock: 2 })
    const [first = '', second = ''] = await buyerIds(world, 2)
    const rids = await receive(world, eventId, [first, first, second])
    const verdicts = await decideReservations(world.knex, rids)
    expect(tally(verdicts)).to.deep.equal({ ordered: 2, duplicate: 1 })
    const before = await stateOf(world, eventId)
    expect(await decideReservations(world.knex, rids)).to.deep.equal(verdicts)
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('decides nothing and opens no transaction for nothing', async () => {
    expect(await decideReservations(world.knex, [])).to.deep.equal([])
  })

  it('refuses a buyer’s second claim, in one batch and in the next', async () => {
    const eventId = await createSale(world)
    const [userId = ''] = await buyerIds(world, 1)
    const rids = await receive(world, eventId, [userId, userId])
    expect(tally(await decideReservations(world.knex, rids))).to.deep.equal({ ordered: 1, duplicate: 1 })
    const [later = ''] = await receive(world, eventId, [userId])
    expect(await decideReservations(world.knex, [later])).to.deep.equal([
      { kind: 'void', rid: later, reason: 'duplicate' },
    ])
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
  })

  it('gives the reason of a void to the inbox, and the release to the outbox, in the same transaction', async () => {
    const eventId = await createSale(world)
    const { userId } = (await order(world, eventId, 1))[0] ?? { userId: '' }
    const [rid = ''] = await receive(world, eventId, [userId])
    await decideReservations(world.knex, [rid])
    const [row] = await findReservations(world.knex, [rid])
    expect(row).to.include({ status: 'void', void_reason: 'duplicate', order_id: null })
    const told = await world.knex('outbox').where({ key: rid }).select('topic', 'payload')
    const payload = { rid, event_id: eventId, user_id: userId, quantity: 1, reason: 'duplicate' }
    expect(told).to.deep.equal([{ topic: 'stock.released', payload }])
  })

  it('voids what was reserved of an event that it does not know, or that is a draft, and releases nothing', async () => {
    const buyers = await buyerIds(world, 1)
    const [lost = ''] = await receive(world, uuidv7(), buyers)
    const [drafted = ''] = await receive(world, await createDraft(world), buyers)
    const verdicts = await decideReservations(world.knex, [lost, drafted])
    expect(tally(verdicts)).to.deep.equal({ unknown_event: 2 })
    expect(await toldOf(world.knex, 'stock.released')).not.to.include.members([lost])
  })

  it('voids what an account reserved that does not exist, and gives the unit back', async () => {
    const eventId = await createSale(world)
    const [rid = ''] = await receive(world, eventId, [uuidv7()])
    expect(tally(await decideReservations(world.knex, [rid]))).to.deep.equal({ unknown_buyer: 1 })
    expect(await toldOf(world.knex, 'stock.released')).to.include(rid)
  })

  it('voids what a disabled account reserved, and gives the unit back', async () => {
    const eventId = await createSale(world)
    const buyers = await buyerIds(world, 1)
    const [rid = ''] = await receive(world, eventId, buyers)
    await world.knex('users').whereIn('id', buyers).update({ disabled: true })
    expect(tally(await decideReservations(world.knex, [rid]))).to.deep.equal({ unknown_buyer: 1 })
    expect(await toldOf(world.knex, 'stock.released')).to.include(rid)
  })

  for (const lapseLimit of [0, 1])
    it(`lets a buyer order again after ${lapseLimit} lapses and not after ${lapseLimit + 1}`, async () => {
      const eventId = await createSale(world, { lapseLimit })
      const [userId = ''] = await buyerIds(world, 1)
      for (let lapse = 0; lapse <= lapseLimit; lapse++) await lapseOnce(world, eventId, userId)
      const [rid = ''] = await receive(world, eventId, [userId])
      expect(tally(await decideReservations(world.knex, [rid]))).to.deep.equal({ lapse_limit: 1 })
      expect(await toldOf(world.knex, 'stock.released')).to.include(rid)
      expect(await expectConserved(world.knex, eventId)).to.equal(10)
    })

  it('decides a batch of two events, each by its own units', async () => {
    const [small, large] = [await createSale(world, { stock: 1 }), await createSale(world, { stock: 5 })]
    const buyers = await buyerIds(world, 3)
    const messages = buyers.flatMap((userId) => [accepted(small, userId), accepted(large, userId)])
    await receiveReservations(world.knex, messages)
    const verdicts = await decideReservations(
      world.knex,
      messages.map(({ rid }) => rid),
    )
    const of = (eventId: string) => tally(verdicts.filter((_, i) => messages[i]?.event_id === eventId))
    expect(of(small)).to.deep.equal({ ordered: 1, sold_out: 2 })
    expect(of(large)).to.deep.equal({ ordered: 3 })
    expect(await expectConserved(world.knex, small)).to.equal(0)
    expect(await expectConserved(world.knex, large)).to.equal(2)
  })
})

async function lapseOnce(world: World, eventId: string, userId: string): Promise<void> {
  const rids = await receive(world, eventId, [userId])
  const [verdict] = await decideReservations(world.knex, rids)
  if (verdict?.kind !== 'ordered') throw new Error(`not ordered: ${JSON.stringify(verdict)}`)
  await letLapse(world.knex, [verdict.orderId])
  await closeLapsedOrders(world.knex, [verdict.orderId])
}

async function stateOf({ knex }: World, eventId: string) {
  return {
    event: await knex('spike_events').where({ id: eventId }).first(),
    reservations: await knex('reservations').where({ event_id: eventId }).orderBy('rid'),
    orders: await knex('orders').where({ event_id: eventId }).orderBy('id'),
    claims: await knex('spike_orders').where({ event_id: eventId }).orderBy('reservation_id'),
    outbox: await knex('outbox').orderBy('id'),
  }
}
