import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { cancelOrder, closeLapsedOrders } from '../../../src/orders/close.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { settlePayment, type Settlement } from '../../../src/pay.ts'
import type { PaymentCallback } from '../../../src/payments/callback.ts'
import { startPayment } from '../../../src/payments/start.ts'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { newRid } from '../../support/rids.ts'
import { endEvent } from '../../../src/spike-events/transitions.ts'
import { createSale } from '../../factories/sales.ts'
import { eachOf } from '../../support/flood.ts'
import { randomOf } from '../../support/random.ts'
import {
  accepted,
  buyerIds,
  expectConserved,
  letLapse,
  order,
  receive,
  tally,
  type Ordered,
} from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

const PROVIDER = 'simulated'
const PAIRS = 1_000
/** Several pairs under way at any time, and no more than the pool serves in its time limit. */
const AT_ONCE = 40

interface End {
  status: string
  close_reason: string | null
  was_paid: boolean
  captures: number
  refunds: number
}

describe('paying against closing', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  /** The provider's word that the money of an order was taken. */
  async function captureOf({
    orderId,
    userId,
  }: Pick<Ordered, 'orderId' | 'userId'>): Promise<PaymentCallback> {
    const start = await startPayment(world.knex, { orderId, userId, provider: PROVIDER })
    if (start.kind !== 'started') throw new Error(`payment not started: ${start.kind}`)
    const { paymentId, amount, currency } = start.payment
    return { txn_id: `txn-${paymentId}`, payment_id: paymentId, kind: 'captured', amount, currency }
  }

  const settle = (capture: PaymentCallback): Promise<Settlement> => settlePayment(world, PROVIDER, capture)

  async function endsOf(orderIds: readonly string[]): Promise<End[]> {
    const { rows } = await world.knex.raw(
      `SELECT o.status, o.close_reason, o.paid_at IS NOT NULL AS was_paid,
              (SELECT count(*) FROM payments p JOIN payment_events e ON e.payment_id = p.id
                WHERE p.order_id = o.id AND e.kind = 'captured')::int AS captures,
              (SELECT count(*) FROM refunds r WHERE r.order_id = o.id)::int AS refunds
         FROM orders o WHERE o.id = ANY(?::uuid[])`,
      [[...orderIds]],
    )
    return rows
  }

  /** Runs two things for each order, those of a pair at about the same time and in a random order. */
  async function runPairs(
    count: number,
    one: (i: number) => Promise<unknown>,
    other: (i: number) => Promise<unknown>,
  ) {
    const random = randomOf(5)
    const runs = Array.from({ length: count }, (_, i) => [
      { at: i + random.below(8), run: () => one(i) },
      { at: i + random.below(8), run: () => other(i) },
    ]).flat()
    await eachOf(
      runs.sort((a, b) => a.at - b.at),
      AT_ONCE,
      async ({ run }) => void (await run()),
    )
  }

  /** Captured once, and either a paid order or a closed one with its refund. */
  function expectOneEnd(ends: readonly End[], closeReason: string): { paid: number; refunded: number } {
    for (const end of ends)
      expect(end).to.deep.equal(
        end.status === 'paid'
          ? { status: 'paid', close_reason: null, was_paid: true, captures: 1, refunds: 0 }
          : { status: 'closed', close_reason: closeReason, was_paid: false, captures: 1, refunds: 1 },
      )
    const paid = ends.filter(({ status }) => status === 'paid').length
    return { paid, refunded: ends.length - paid }
  }

  it(`ends each of ${PAIRS} pairs of pay and close as paid or as refunded, while others buy what comes free`, async () => {
    const eventId = await createSale(world, { stock: PAIRS })
    const orders = await order(world, eventId, PAIRS)
    const captures = await Promise.all(orders.map(captureOf))
    await letLapse(
      world.knex,
      orders.map(({ orderId }) => orderId),
    )
    const rivals = await receive(world, eventId, await buyerIds(world, PAIRS / 2))
    const settled: Settlement[] = []
    const verdicts: Awaited<ReturnType<typeof decideReservations>> = []
    await runPairs(
      PAIRS,
      async (i) => settled.push(await settle(captures[i] as PaymentCallback)),
      async (i) => {
        await closeLapsedOrders(world.knex, [orders[i]?.orderId ?? ''])
        if (i % 2 === 0) verdicts.push(...(await decideReservations(world.knex, [rivals[i / 2] ?? ''])))
      },
    )
    const { paid, refunded } = expectOneEnd(await endsOf(orders.map(({ orderId }) => orderId)), 'lapsed')
    const sold = tally(verdicts)['ordered'] ?? 0
    expect(await expectConserved(world.knex, eventId)).to.equal(PAIRS - paid - sold)
    const ways = Object.fromEntries(
      ['paid', 'paid_late', 'refund_opened'].map((way) => [way, settled.filter((s) => s === way).length]),
    )
    expect(ways['refund_opened']).to.equal(refunded)
    for (const [way, count] of Object.entries(ways)) expect(count, `${way} was reached`).to.be.at.least(1)
  })

  it(`ends each of ${PAIRS} pairs of pay and cancel as paid, or as cancelled with a refund`, async () => {
    const eventId = await createSale(world, { stock: PAIRS })
    const orders = await order(world, eventId, PAIRS)
    const captures = await Promise.all(orders.map(captureOf))
    const cancelled: string[] = []
    await runPairs(
      PAIRS,
      (i) => settle(captures[i] as PaymentCallback),
      async (i) => {
        const { orderId = '', userId = '' } = orders[i] ?? {}
        cancelled.push((await cancelOrder(world.knex, orderId, userId)).kind)
      },
    )
    const { paid, refunded } = expectOneEnd(await endsOf(orders.map(({ orderId }) => orderId)), 'cancelled')
    expect(cancelled.filter((kind) => kind === 'cancelled')).to.have.length(refunded)
    expect(cancelled.filter((kind) => kind === 'not_pending')).to.have.length(paid)
    expect(paid, 'both ends were reached').to.be.within(1, PAIRS - 1)
    expect(await expectConserved(world.knex, eventId)).to.equal(PAIRS - paid)
  })

  it('takes money that was captured after the same transaction had failed, also when the order has lapsed', async () => {
    const eventId = await createSale(world)
    const [prompt] = (await order(world, eventId, 1)) as [Ordered]
    const capture = await captureOf(prompt)
    expect(await settle({ ...capture, kind: 'failed' })).to.equal('failed')
    expect(await settle(capture)).to.equal('paid')
    expect(await settle({ ...capture, kind: 'failed' })).to.equal('seen_before')
    const late = await lapsedOrder(eventId)
    expect(await settle({ ...late.capture, kind: 'failed' })).to.equal('failed')
    expect(await settle(late.capture)).to.equal('paid_late')
    expect(await settle(late.capture)).to.equal('seen_before')
    expect(expectOneEnd(await endsOf([prompt.orderId, late.lapsed.orderId]), '').paid).to.equal(2)
    const other = await lapsedOrder(eventId)
    expect(await settle({ ...other.capture, txn_id: capture.txn_id })).to.equal('amount_differs')
  })

  it('takes a payment once, however often and in parallel the provider tells of it', async () => {
    const eventId = await createSale(world)
    const [only] = (await order(world, eventId, 1)) as [Ordered]
    const capture = await captureOf(only)
    const results = await Promise.all(Array.from({ length: 8 }, () => settle(capture)))
    expect(results.filter((result) => result === 'paid')).to.have.length(1)
    expect(results.filter((result) => result === 'seen_before')).to.have.length(7)
    expectOneEnd(await endsOf([only.orderId]), '')
  })

  /** An order that has lapsed, with its payment still under way. */
  async function lapsedOrder(eventId: string): Promise<{ lapsed: Ordered; capture: PaymentCallback }> {
    const [lapsed] = (await order(world, eventId, 1)) as [Ordered]
    const capture = await captureOf(lapsed)
    await letLapse(world.knex, [lapsed.orderId])
    await closeLapsedOrders(world.knex, [lapsed.orderId])
    return { lapsed, capture }
  }

  it('buys the unit again with late money, once, however often and in parallel the provider tells of it', async () => {
    const eventId = await createSale(world)
    const { lapsed, capture } = await lapsedOrder(eventId)
    const results = await Promise.all(Array.from({ length: 8 }, () => settle(capture)))
    expect(results.filter((result) => result === 'paid_late')).to.have.length(1)
    expect(results.filter((result) => result === 'seen_before')).to.have.length(7)
    expect(expectOneEnd(await endsOf([lapsed.orderId]), '').paid).to.equal(1)
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
    const claims = await world.knex('spike_orders').where({ order_id: lapsed.orderId }).orderBy('live')
    expect(claims.map(({ live }) => live)).to.deep.equal([false, true])
    const told = await world.knex('outbox').where({ key: claims[1].reservation_id }).select('topic')
    expect(told).to.deep.equal([{ topic: 'reservation.accepted' }])
  })

  it('refunds late money when no unit is free, the buyer has bought again, or the sale has ended', async () => {
    const soldOut = await createSale(world, { stock: 1 })
    const first = await lapsedOrder(soldOut)
    await order(world, soldOut, 1)
    const again = await createSale(world)
    const second = await lapsedOrder(again)
    await decideReservations(world.knex, await receive(world, again, [second.lapsed.userId]))
    const ended = await createSale(world)
    const third = await lapsedOrder(ended)
    await endEvent(world.knex, ended, SYSTEM)
    for (const [eventId, { lapsed, capture }] of [
      [soldOut, first],
      [again, second],
      [ended, third],
    ] as const) {
      expect(await settle(capture)).to.equal('refund_opened')
      expect(await settle(capture)).to.equal('seen_before')
      expect(expectOneEnd(await endsOf([lapsed.orderId]), 'lapsed').refunded).to.equal(1)
      await expectConserved(world.knex, eventId)
    }
  })

  it('refunds late money rather than take a unit from a buyer whose reservation is in flight', async () => {
    const eventId = await createSale(world, { stock: 1 })
    const { lapsed, capture } = await lapsedOrder(eventId)
    const [userId = ''] = await buyerIds(world, 1)
    const rid = newRid(eventId)
    const reply = await world.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: 'test' })
    expect(reply.kind).to.equal('accepted')
    expect(await settle(capture)).to.equal('refund_opened')
    expect(expectOneEnd(await endsOf([lapsed.orderId]), 'lapsed').refunded).to.equal(1)
    await receiveReservations(world.knex, [accepted(eventId, userId, { rid })])
    expect(tally(await decideReservations(world.knex, [rid]))).to.deep.equal({ ordered: 1 })
  })

  it('does not let several late payers take what buyers in flight hold, though Redis hears of them later', async () => {
    const eventId = await createSale(world, { stock: 5 })
    const late = await order(world, eventId, 3)
    const captures = await Promise.all(late.map(captureOf))
    const ids = late.map(({ orderId }) => orderId)
    await letLapse(world.knex, ids)
    await closeLapsedOrders(world.knex, ids)
    // Redis has taken nothing for those who have lapsed; of its five units, four are in flight.
    const rids = (await buyerIds(world, 4)).map((userId) => ({ userId, rid: newRid(eventId) }))
    for (const { userId, rid } of rids)
      await world.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: 'test' })
    const results = await Promise.all(captures.map(settle))
    expect(results.sort()).to.deep.equal(['paid_late', 'refund_opened', 'refund_opened'])
    await receiveReservations(
      world.knex,
      rids.map(({ userId, rid }) => accepted(eventId, userId, { rid })),
    )
    const decided = await decideReservations(
      world.knex,
      rids.map(({ rid }) => rid),
    )
    expect(tally(decided)).to.deep.equal({ ordered: 4 })
    expect(await expectConserved(world.knex, eventId)).to.equal(0)
  })

  it('gives one free unit to one of ten late payers, and the others their money back', async () => {
    const eventId = await createSale(world, { stock: 10 })
    const late = await order(world, eventId, 10)
    const captures = await Promise.all(late.map(captureOf))
    const ids = late.map(({ orderId }) => orderId)
    await letLapse(world.knex, ids)
    await closeLapsedOrders(world.knex, ids)
    await order(world, eventId, 9)
    const results = await Promise.all(captures.map(settle))
    expect(results.filter((result) => result === 'paid_late')).to.have.length(1)
    expect(results.filter((result) => result === 'refund_opened')).to.have.length(9)
    expect(expectOneEnd(await endsOf(ids), 'lapsed')).to.deep.equal({ paid: 1, refunded: 9 })
    expect(await expectConserved(world.knex, eventId)).to.equal(0)
  })

  it('does not take an amount that differs, and keeps the order waiting', async () => {
    const eventId = await createSale(world)
    const [only] = (await order(world, eventId, 1)) as [Ordered]
    const capture = await captureOf(only)
    expect(await settle({ ...capture, amount: capture.amount - 1 })).to.equal('amount_differs')
    expect((await endsOf([only.orderId]))[0]).to.include({ status: 'pending', refunds: 0 })
  })

  it('starts no payment and cancels no order that is overdue, although nobody has closed it yet', async () => {
    const eventId = await createSale(world)
    const [{ orderId, userId }] = (await order(world, eventId, 1)) as [Ordered]
    await letLapse(world.knex, [orderId])
    const gone = { kind: 'not_pending', status: 'closed' }
    expect(await startPayment(world.knex, { orderId, userId, provider: PROVIDER })).to.deep.equal(gone)
    expect(await cancelOrder(world.knex, orderId, userId)).to.deep.equal(gone)
    expect((await endsOf([orderId]))[0]).to.include({ status: 'pending' })
  })
})
