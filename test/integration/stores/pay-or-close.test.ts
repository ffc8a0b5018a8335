import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { closeLapsedOrders } from '../../../src/orders/close.ts'
import { applyCallback, type Callback } from '../../../src/payments/callback.ts'
import { startPayment } from '../../../src/payments/start.ts'
import { createSale } from '../../factories/sales.ts'
import { randomOf } from '../../support/random.ts'
import { expectConserved, letLapse, order, type Ordered } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

const PROVIDER = 'simulated'
const PAIRS = 200

describe('paying against closing', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  /** The provider's word that the money of an order was taken. */
  async function captureOf({ orderId, userId }: Ordered): Promise<Callback> {
    const start = await startPayment(world.knex, { orderId, userId, provider: PROVIDER })
    if (start.kind !== 'started') throw new Error(`payment not started: ${start.kind}`)
    const { paymentId, amount, currency } = start.payment
    return { txn_id: `txn-${paymentId}`, payment_id: paymentId, kind: 'captured', amount, currency }
  }

  const ends = async (eventId: string) => {
    const { rows } = await world.knex.raw(
      `SELECT o.status, o.paid_at IS NOT NULL AS was_paid, count(r.id)::int AS refunds, min(r.reason) AS reason
         FROM orders o LEFT JOIN refunds r ON r.order_id = o.id WHERE o.event_id = ? GROUP BY o.id`,
      [eventId],
    )
    return rows as { status: string; was_paid: boolean; refunds: number; reason: string | null }[]
  }

  it(`ends each of ${PAIRS} pairs as paid, or as closed with a refund, and never as both`, async () => {
    const eventId = await createSale(world, { stock: PAIRS })
    const orders = await order(world, eventId, PAIRS)
    const captures = await Promise.all(orders.map(captureOf))
    await letLapse(
      world.knex,
      orders.map(({ orderId }) => orderId),
    )
    const random = randomOf(5)
    const runs = orders.flatMap(({ orderId }, i) => [
      { at: i + random.below(8), run: () => applyCallback(world.knex, PROVIDER, captures[i] as Callback) },
      { at: i + random.below(8), run: () => closeLapsedOrders(world.knex, [orderId]) },
    ])
    await Promise.all(runs.sort((a, b) => a.at - b.at).map(({ run }) => run()))
    const rows = await ends(eventId)
    for (const { status, was_paid, refunds, reason } of rows)
      expect({ status, was_paid, refunds, reason }).to.deep.equal(
        status === 'paid'
          ? { status: 'paid', was_paid: true, refunds: 0, reason: null }
          : { status: 'closed', was_paid: false, refunds: 1, reason: 'order_closed' },
      )
    const paid = rows.filter(({ status }) => status === 'paid').length
    expect(paid, 'both ends were reached').to.be.within(1, PAIRS - 1)
    expect(await expectConserved(world.knex, eventId)).to.equal(PAIRS - paid)
  })

  it('takes a payment once, however often and in parallel the provider tells of it', async () => {
    const eventId = await createSale(world)
    const [only] = await order(world, eventId, 1)
    const capture = await captureOf(only as Ordered)
    const results = await Promise.all(
      Array.from({ length: 8 }, () => applyCallback(world.knex, PROVIDER, capture)),
    )
    expect(results.filter(({ kind }) => kind === 'paid')).to.have.length(1)
    expect(results.filter(({ kind }) => kind === 'seen_before')).to.have.length(7)
    expect(await ends(eventId)).to.deep.equal([{ status: 'paid', was_paid: true, refunds: 0, reason: null }])
  })

  it('opens one refund for late money, however often the provider tells of it', async () => {
    const eventId = await createSale(world)
    const [late] = await order(world, eventId, 1)
    const capture = await captureOf(late as Ordered)
    await letLapse(world.knex, [late?.orderId ?? ''])
    await closeLapsedOrders(world.knex, [late?.orderId ?? ''])
    expect(await applyCallback(world.knex, PROVIDER, capture)).to.deep.equal({ kind: 'refund_opened' })
    expect(await applyCallback(world.knex, PROVIDER, capture)).to.deep.equal({ kind: 'seen_before' })
    expect(await ends(eventId)).to.deep.equal([
      { status: 'closed', was_paid: false, refunds: 1, reason: 'order_closed' },
    ])
  })

  it('does not take an amount that differs, and keeps the order waiting', async () => {
    const eventId = await createSale(world)
    const [only] = await order(world, eventId, 1)
    const capture = await captureOf(only as Ordered)
    const wrong = { ...capture, amount: capture.amount - 1 }
    expect(await applyCallback(world.knex, PROVIDER, wrong)).to.deep.equal({ kind: 'amount_differs' })
    expect((await ends(eventId))[0]).to.include({ status: 'pending', refunds: 0 })
  })

  it('starts no payment of an order that is overdue, although nobody has closed it yet', async () => {
    const eventId = await createSale(world)
    const [only] = await order(world, eventId, 1)
    const { orderId, userId } = only as Ordered
    await letLapse(world.knex, [orderId])
    expect(await startPayment(world.knex, { orderId, userId, provider: PROVIDER })).to.deep.equal({
      kind: 'not_pending',
      status: 'closed',
    })
  })
})
