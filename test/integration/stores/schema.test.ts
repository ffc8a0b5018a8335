import { expect } from 'chai'
import type { Knex } from 'knex'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { decideReservations } from '../../../src/orders/decide.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { buyerIds, order, receive } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

const CHECK_VIOLATION = '23514'
const UNIQUE_VIOLATION = '23505'
const INTEGRITY_VIOLATION = '23000'

/** The code and the constraint that PostgreSQL refuses a statement with. */
async function refusalOf(statement: Promise<unknown>): Promise<{ code?: string; constraint?: string }> {
  try {
    await statement
  } catch (error) {
    const { code = '', constraint = '' } = error as { code?: string; constraint?: string }
    return { code, constraint }
  }
  return {}
}

describe('what the schema itself refuses', () => {
  let world: World
  let knex: Knex
  before(async () => {
    world = await createWorld()
    knex = world.knex
  })
  after(() => world.close())

  it('is an event with fewer than no units, whoever takes them', async () => {
    const id = await createSale(world, { stock: 1 })
    const take = knex('spike_events').where({ id }).update({ available: -1 })
    expect(await refusalOf(take)).to.deep.equal({
      code: CHECK_VIOLATION,
      constraint: 'spike_events_available_check',
    })
  })

  it('is an event with more free units than were granted', async () => {
    const id = await createSale(world, { stock: 5 })
    const add = knex('spike_events').where({ id }).increment('available', 1)
    expect(await refusalOf(add)).to.include({ constraint: 'spike_events_available_granted' })
  })

  it('is an inventory below zero', async () => {
    const productId = await createProduct(world, 3)
    const take = knex('inventory').where({ product_id: productId }).decrement('stock', 4)
    expect(await refusalOf(take)).to.deep.equal({
      code: CHECK_VIOLATION,
      constraint: 'inventory_stock_check',
    })
  })

  it('is a second live claim of a buyer on an event, and not one after the first has lapsed', async () => {
    const eventId = await createSale(world)
    const [first] = await order(world, eventId, 1)
    const claim = () =>
      knex('spike_orders').insert({
        reservation_id: uuidv7(),
        event_id: eventId,
        user_id: first?.userId,
        order_id: uuidv7(),
        quantity: 1,
      })
    expect(await refusalOf(claim())).to.deep.equal({
      code: UNIQUE_VIOLATION,
      constraint: 'spike_orders_one_live_claim',
    })
    await knex('spike_orders').where({ reservation_id: first?.rid }).update({ live: false })
    expect(await refusalOf(claim())).to.deep.equal({})
  })

  it('is a second verdict on a reservation', async () => {
    const eventId = await createSale(world)
    const [ordered] = await order(world, eventId, 1)
    const [voided = ''] = await receive(world, eventId, [ordered?.userId ?? ''])
    await decideReservations(knex, [voided])
    const row = (rid: string | undefined) => knex('reservations').where({ rid: rid ?? '' })
    const second = [
      row(ordered?.rid).update({ status: 'void', void_reason: 'sold_out' }),
      row(ordered?.rid).update({ status: 'undecided', decided_at: null }),
      row(voided).update({ status: 'ordered', void_reason: null }),
      row(voided).update({ void_reason: 'sold_out' }),
    ]
    for (const attempt of second) expect((await refusalOf(attempt)).code).to.equal(INTEGRITY_VIOLATION)
    expect(await row(ordered?.rid).first('status')).to.deep.equal({ status: 'ordered' })
    expect(await row(voided).first('status', 'void_reason')).to.deep.equal({
      status: 'void',
      void_reason: 'duplicate',
    })
  })

  it('is a void without a reason, and a reason without a void', async () => {
    const eventId = await createSale(world)
    const [rid = ''] = await receive(world, eventId, await buyerIds(world, 1))
    for (const change of [
      { status: 'void', decided_at: knex.fn.now() },
      { status: 'ordered', decided_at: knex.fn.now(), void_reason: 'sold_out' },
      { status: 'ordered' },
    ])
      expect(await refusalOf(knex('reservations').where({ rid }).update(change))).to.deep.equal({
        code: CHECK_VIOLATION,
        constraint: 'reservations_verdict',
      })
  })

  it('is a second outbox row about the same thing', async () => {
    const key = uuidv7()
    const insert = (topic: string) => knex('outbox').insert({ topic, key, payload: {} })
    await insert('stock.released')
    expect(await refusalOf(insert('stock.released'))).to.deep.equal({
      code: UNIQUE_VIOLATION,
      constraint: 'outbox_once',
    })
    expect(await refusalOf(insert('order.created'))).to.deep.equal({})
  })

  it('is a second order of a reservation', async () => {
    const eventId = await createSale(world)
    const [ordered] = await order(world, eventId, 1)
    const copy = await knex('orders').where({ id: ordered?.orderId }).first()
    const again = knex('orders').insert({ ...copy, id: uuidv7() })
    expect(await refusalOf(again)).to.include({ constraint: 'orders_reservation_unique' })
  })

  it('is a closed order without its reason, and a paid one with a reason', async () => {
    const eventId = await createSale(world)
    const [ordered] = await order(world, eventId, 1)
    const change = (to: object) => refusalOf(knex('orders').where({ id: ordered?.orderId }).update(to))
    expect(await change({ status: 'closed' })).to.include({ constraint: 'orders_closed' })
    expect(await change({ status: 'paid', close_reason: 'lapsed' })).to.include({
      constraint: 'orders_closed',
    })
  })

  const indexes = [
    ['inventory', /UNIQUE INDEX \w+ ON public\.inventory USING btree \(product_id\)$/],
    ['spike_events', /ON public\.spike_events USING btree \(product_id, start_at, end_at\)$/],
    ['orders', /ON public\.orders USING btree \(expires_at\) WHERE \(status = 'pending'::text\)$/],
    ['reservations', /USING btree \(received_at\) WHERE \(status = 'undecided'::text\)$/],
    ['outbox', /USING btree \(id\) WHERE \(published_at IS NULL\)$/],
  ] as const
  for (const [table, definition] of indexes)
    it(`has the index of ${table} that its look-ups need: ${definition.source.split('btree ')[1]}`, async () => {
      const rows = await knex('pg_indexes').where({ tablename: table }).select('indexdef')
      expect(rows.filter(({ indexdef }) => definition.test(indexdef))).to.have.length(1)
    })
})
