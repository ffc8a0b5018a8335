import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { presentReport } from '../../../src/figures/present-sale.ts'
import { cancelOrder } from '../../../src/orders/close.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { readReport } from '../../../src/report.ts'
import { adjustSale, endSale } from '../../../src/sale.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import { captureOf, lapse, settle } from '../../support/claims.ts'
import { buyerIds, order, receive, type Ordered } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the report of a sale', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  async function reportOf(eventId: string) {
    const report = await readReport(world, eventId)
    if (report === undefined) throw new Error(`no event ${eventId}`)
    return presentReport(report)
  }

  /** Reservations of one unit that were made in these milliseconds of one minute and decided so much later. */
  async function timed(
    eventId: string,
    times: readonly { at: number; decidedAfter: number }[],
  ): Promise<void> {
    const orders = await order(world, eventId, times.length)
    for (const [i, { at, decidedAfter }] of times.entries()) {
      const reserved = Date.parse('2026-01-01T00:00:00Z') + at
      await world
        .knex('reservations')
        .where({ rid: orders[i]?.rid })
        .update({ reserved_at: new Date(reserved), decided_at: new Date(reserved + decidedAfter) })
      await world
        .knex('orders')
        .where({ id: orders[i]?.orderId })
        .update({ created_at: new Date(reserved + decidedAfter) })
    }
  }

  it('has nothing but zeros for a draft, and is undefined where there is no event', async () => {
    const eventId = await createDraft(world)
    const { event, conservation, ...figures } = await reportOf(eventId)
    expect(event).to.include({ id: eventId, state: 'draft', remaining: null })
    expect(conservation).to.include({ granted: 0, live: 0, redis: null, drift: null })
    expect(figures).to.deep.equal({
      units: { granted: 0, returned: 0, sold: 0, paid: 0, pending: 0, released: 0 },
      sell_through: 0,
      orders: { made: 0, pending: 0, paid: 0, refunded: 0, lapsed: 0, cancelled: 0 },
      second_sales: 0,
      requests: { accepted: 0, rejected: {} },
      reservations: { undecided: 0, ordered: 0, void: 0 },
      voids: {},
      peak: { reservations: null, orders: null, rejected: null },
      sold_out_after_ms: null,
      decision_ms: null,
      revenue: { captured: 0, refunded: 0, refunds: 0, currency: 'CNY' },
      course: null,
      epoch: 0,
      actions: { create: 1 },
    })
    expect(await readReport(world, '00000000-0000-7000-8000-000000000000')).to.equal(undefined)
  })

  it('tells units, orders, voids and money of a sale that has ended', async () => {
    const eventId = await createSale(world, { stock: 10, spikePrice: 700 })
    const [paid, late, lapsed, cancelled, refunded] = (await order(world, eventId, 5)) as [
      Ordered,
      Ordered,
      Ordered,
      Ordered,
      Ordered,
    ]
    await settle(world, await captureOf(world, paid))
    const [lateMoney, lostMoney] = [await captureOf(world, late), await captureOf(world, refunded)]
    await lapse(world, late, lapsed)
    await cancelOrder(world.knex, cancelled.orderId, cancelled.userId)
    await cancelOrder(world.knex, refunded.orderId, refunded.userId)
    expect(await settle(world, lateMoney)).to.equal('paid_late')
    expect(await settle(world, lostMoney)).to.equal('refund_opened')
    const [buyer] = (await buyerIds(world, 1)) as [string]
    await decideReservations(world.knex, await receive(world, eventId, [buyer, buyer]))
    await endSale(world, eventId, SYSTEM)

    const report = await reportOf(eventId)
    expect(report.event).to.include({ id: eventId, state: 'ended' })
    expect(report.units).to.deep.equal({
      granted: 10,
      returned: 7,
      sold: 7,
      paid: 2,
      pending: 1,
      released: 4,
    })
    expect(report.sell_through).to.equal(0.2)
    expect(report.orders).to.deep.equal({
      made: 6,
      pending: 1,
      paid: 2,
      refunded: 0,
      lapsed: 1,
      cancelled: 2,
    })
    expect(report.reservations).to.deep.equal({ undecided: 0, ordered: 7, void: 1 })
    expect(report.voids).to.deep.equal({ duplicate: 1 })
    expect(report.epoch).to.equal(1)
    expect(report.actions).to.deep.equal({ create: 1, publish: 1, end: 1 })
    expect(report.revenue).to.deep.equal({ captured: 2_100, refunded: 700, refunds: 1, currency: 'CNY' })
    expect(report.conservation).to.include({ granted: 3, available: 0, live: 3, oversold: 0 })
  })

  describe('counts as sold again', () => {
    it('only units that no fresh one was left for', async () => {
      const eventId = await createSale(world, { stock: 3 })
      await lapse(world, ...(await order(world, eventId, 2)))
      await order(world, eventId, 1)
      expect(await reportOf(eventId)).to.deep.include({ second_sales: 0, sold_out_after_ms: null })
      await order(world, eventId, 1)
      expect(await reportOf(eventId)).to.deep.include({ second_sales: 1, sold_out_after_ms: null })
    })

    it('what was sold again, however many units are added later', async () => {
      const eventId = await createSale(world, { stock: 3 })
      const orders = await order(world, eventId, 3)
      await lapse(world, ...orders.slice(1))
      await order(world, eventId, 2)
      expect((await reportOf(eventId)).second_sales).to.equal(2)
      await adjustSale(world, eventId, { delta: 5, reason: 'test' }, SYSTEM)
      await order(world, eventId, 4)
      expect((await reportOf(eventId)).second_sales).to.equal(2)
      await order(world, eventId, 1)
      expect((await reportOf(eventId)).second_sales).to.equal(2)
    })
  })

  it('tells when the last free unit went, and not when free units went back', async () => {
    const eventId = await createSale(world, { stock: 3 })
    const [first] = (await order(world, eventId, 2)) as [Ordered]
    await lapse(world, first)
    expect((await reportOf(eventId)).sold_out_after_ms).to.equal(null)
    const last = (await order(world, eventId, 2)).at(-1)
    const { at } = await world
      .knex('spike_orders')
      .where({ reservation_id: last?.rid })
      .first('created_at as at')
    const { start } = await world.knex('spike_events').where({ id: eventId }).first('start_at as start')
    const after = at.getTime() - start.getTime()
    expect((await reportOf(eventId)).sold_out_after_ms).to.equal(after)
    await adjustSale(world, eventId, { delta: 2, reason: 'test' }, SYSTEM)
    await order(world, eventId, 2)
    expect((await reportOf(eventId)).sold_out_after_ms, 'the first time counts').to.equal(after)

    const unsold = await createSale(world, { stock: 2 })
    await order(world, unsold, 1)
    await endSale(world, unsold, SYSTEM)
    expect(await reportOf(unsold)).to.deep.include({ sold_out_after_ms: null })
  })

  it('tells the course of the sale in steps', async () => {
    const eventId = await createSale(world, { stock: 5 })
    const orders = await order(world, eventId, 4)
    const [first, ...rest] = orders as [Ordered, ...Ordered[]]
    await lapse(world, first)
    const begin = Date.parse('2026-01-01T00:00:00.500Z')
    const moved = (table: string, where: object, ms: number) =>
      world
        .knex(table)
        .where(where)
        .update({ created_at: new Date(begin + ms) })
    await moved('spike_event_adjustments', { event_id: eventId }, -60_000)
    await moved('spike_orders', { reservation_id: first.rid }, 0)
    for (const { rid } of rest) await moved('spike_orders', { reservation_id: rid }, 2_000)
    await world
      .knex('orders')
      .where({ id: first.orderId })
      .update({ closed_at: new Date(begin + 300_000) })
    await endSale(world, eventId, SYSTEM) // takes what is left, which is no part of the course
    expect((await reportOf(eventId)).course).to.deep.equal({
      step_seconds: 3,
      points: [
        { at: '2026-01-01T00:00:00.000Z', orders: 4, free: 1 },
        { at: '2026-01-01T00:05:00.000Z', orders: 0, free: 2 },
      ],
    })
  })

  it('tells how long decisions took, and the busiest seconds', async () => {
    const eventId = await createSale(world, { stock: 20 })
    await timed(
      eventId,
      Array.from({ length: 11 }, (_, i) => ({ at: i * 100 + 950, decidedAfter: i * 100 })),
    )
    const [late] = (await order(world, eventId, 1)) as [Ordered]
    const money = await captureOf(world, late)
    await lapse(world, late)
    await world.knex('reservations').where({ rid: late.rid }).update({
      reserved_at: '2026-01-01T00:00:00Z',
      decided_at: '2026-01-01T00:00:00Z',
    })
    await settle(world, money) // its second rid was never waited for
    const { decision_ms: times, peak } = await reportOf(eventId)
    // 0, 0, 100, 200 ... 1000
    expect(times).to.deep.equal({ p50: 450, p90: 890, p99: 989, max: 1_000 })
    expect(peak.reservations).to.deep.equal({ second: '2026-01-01T00:00:01.000Z', count: 10 })
    expect(peak.orders).to.deep.equal({ second: '2026-01-01T00:00:01.000Z', count: 5 })
  })
})
