import { randomBytes, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { SIGNATURE_HEADER, signCallback } from '../../../src/payments/signature.ts'
import type { UnitCounts } from '../../../src/reserve/scripts.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { order, pay, readOrder } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

interface Callback {
  txn_id: string
  payment_id: string
  kind: 'captured' | 'failed'
  amount: number
  currency: string
}

describe("the payment provider's callback", () => {
  let world: World
  let api: Client
  let buyer: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    ;[buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
  })
  after(() => world.close())

  /** An order with an open payment, of which the provider has not been told. */
  async function openPayment(input = {}): Promise<{ eventId: string; orderId: string; callback: Callback }> {
    const eventId = await createSale(world, input)
    const { orderId } = await order(api, eventId, buyer)
    const paymentId = uuidv7()
    const amounts = { amount: 500, currency: 'CNY' }
    await world
      .knex('payments')
      .insert({ id: paymentId, order_id: orderId, provider: 'simulated', ...amounts })
    const callback = {
      txn_id: `txn-${randomUUID()}`,
      payment_id: paymentId,
      kind: 'captured' as const,
      ...amounts,
    }
    return { eventId, orderId, callback }
  }

  const units = async (eventId: string): Promise<UnitCounts> => {
    const counts = await world.scripts.countUnits({ eventId })
    if (counts === 'NOT_READY') throw new Error('the event has no gate')
    return counts
  }

  /** Waits until the order has lapsed and its unit is back. */
  async function lapse(eventId: string, orderId: string): Promise<void> {
    await until('the order to lapse', async () => (await readOrder(api, orderId, buyer)).status === 'closed')
    await until('the unit to be back', async () => (await units(eventId)).released === 1)
  }

  const post = (raw: string, signature?: string): Promise<Reply<{ result: string }>> =>
    api('POST', '/payments/callback', {
      raw,
      headers: signature === undefined ? {} : { [SIGNATURE_HEADER]: signature },
    })
  const sign = (raw: string, at = Date.now()): string => signCallback(world.config.paymentSecret, raw, at)
  const send = (callback: unknown) => post(JSON.stringify(callback), sign(JSON.stringify(callback)))

  it('captures the money when it is signed, fresh and right', async () => {
    const { eventId, orderId, callback } = await openPayment()
    const reply = await send(callback)
    expect(reply.status, reply.text).to.equal(200)
    expect(reply.body.data).to.deep.equal({ result: 'paid' })
    expect((await readOrder(api, orderId, buyer)).status).to.equal('paid')
    expect(await world.redis.hget(`{spike:${eventId}}:gate`, 'paid')).to.equal('1')
  })

  it('is refused and changes nothing when it is unsigned, forged, old or altered', async () => {
    const { eventId, callback } = await openPayment()
    await atRest(world, eventId)
    const raw = JSON.stringify(callback)
    const good = sign(raw)
    const minutes = 60_000
    const otherSecret = signCallback(randomBytes(32).toString('hex'), raw, Date.now())
    const swapped = JSON.stringify({ ...callback, txn_id: 'another' })
    const reordered = JSON.stringify(Object.fromEntries(Object.entries(callback).toReversed()))
    const bad: [string, string | undefined][] = [
      [raw, undefined],
      [raw, ''],
      [raw, 'v1=x'],
      [raw, otherSecret],
      [raw, signCallback('', raw, Date.now())],
      [raw, sign(raw, Date.now() - 6 * minutes)],
      [raw, sign(raw, Date.now() + 6 * minutes)],
      [raw, good.replace(/^t=\d+/, `t=${Date.now() + 1}`)],
      [raw, good.replace(/.$/, (c) => (c === '0' ? '1' : '0'))],
      [raw, good.slice(0, -2)],
      [raw, `${good},${good}`],
      [swapped, good],
      [reordered, good],
      [`${raw} `, good],
      [raw.replace('500', '1'), good],
    ]
    const before = await stateOf(world, eventId)
    for (const [body, signature] of bad) expectRefusal(await post(body, signature), 401, 'INVALID_SIGNATURE')
    expect(await stateOf(world, eventId)).to.deep.equal(before)
    expect((await post(raw, good)).status).to.equal(200)
  })

  it('is refused with 409 when amount or currency differ from the payment', async () => {
    const { eventId, callback } = await openPayment()
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    for (const change of [
      { amount: 499 },
      { amount: 501 },
      { amount: 0 },
      { currency: 'USD' },
      { currency: 'cny' },
    ])
      expectRefusal(await send({ ...callback, ...change }), 409, 'PAYMENT_MISMATCH')
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('is refused with 400 or 404 when it speaks of nothing that we know', async () => {
    const { eventId, callback } = await openPayment()
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    for (const change of [
      { kind: 'refunded' },
      { amount: -1 },
      { amount: '500' },
      { txn_id: '' },
      { txn_id: 'a b' },
      { payment_id: '1' },
      { currency: 'CNYX' },
      { extra: 1 },
    ])
      expectRefusal(await send({ ...callback, ...change }), 400, 'VALIDATION_FAILED')
    expectRefusal(await send([]), 400, 'VALIDATION_FAILED')
    expectRefusal(await send({ ...callback, payment_id: randomUUID() }), 404, 'NOT_FOUND')
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('captures once when it comes five times at the same moment, and once more later', async () => {
    const { orderId, callback } = await openPayment()
    const replies = await Promise.all(Array.from({ length: 5 }, () => send(callback)))
    expect(replies.map((reply) => reply.status)).to.deep.equal([200, 200, 200, 200, 200])
    expect(replies.map((reply) => reply.body.data.result).toSorted()).to.deep.equal([
      'paid',
      ...Array(4).fill('seen_before'),
    ])
    expect((await send(callback)).body.data).to.deep.equal({ result: 'seen_before' })
    expect(await world.knex('payment_events').where('payment_id', callback.payment_id)).to.have.length(1)
    expect(await world.knex('refunds').where('order_id', orderId)).to.deep.equal([])
  })

  it('with a second transaction for a paid order opens a refund for it and no other', async () => {
    const { orderId, callback } = await openPayment()
    await send(callback)
    const second = { ...callback, txn_id: `txn-${randomUUID()}` }
    const replies = await Promise.all(Array.from({ length: 3 }, () => send(second)))
    expect(replies.map((reply) => reply.body.data.result).toSorted()).to.deep.equal([
      'refund_opened',
      'seen_before',
      'seen_before',
    ])
    const refunds = await world
      .knex('refunds')
      .where('order_id', orderId)
      .select('txn_id', 'amount', 'reason')
    expect(refunds).to.deep.equal([{ txn_id: second.txn_id, amount: 500, reason: 'already_paid' }])
    expect((await readOrder(api, orderId, buyer)).status).to.equal('paid')
  })

  it('that says failed after the money was captured does not turn the payment back', async () => {
    const { orderId, callback } = await openPayment()
    await send(callback)
    await send({ ...callback, txn_id: `txn-${randomUUID()}`, kind: 'failed' })
    expect((await readOrder(api, orderId, buyer)).status).to.equal('paid')
    expect(await world.knex('payments').where('id', callback.payment_id).first('status')).to.deep.equal({
      status: 'captured',
    })
  })

  it('that comes after the order has lapsed buys the unit again, and PostgreSQL and Redis agree on it', async () => {
    const { eventId, orderId, callback } = await openPayment({ paymentWindowS: 1 })
    await lapse(eventId, orderId)
    const replies = await Promise.all([send(callback), send(callback)])
    expect(replies.map((reply) => reply.body.data.result).toSorted()).to.deep.equal([
      'paid_late',
      'seen_before',
    ])
    expect(await readOrder(api, orderId, buyer)).to.include({ status: 'paid', close_reason: null })
    await until('redis to have adopted the unit', async () => (await units(eventId)).paid === 1)
    expect(await units(eventId)).to.include({ stock: 9, paid: 1, confirmed: 0, released: 1 })
    expect(await world.knex('refunds').where('order_id', orderId)).to.deep.equal([])
  })

  it('that comes when the unit is sold to somebody else is refunded, and the provider gives the money back', async () => {
    const { eventId, orderId, callback } = await openPayment({ paymentWindowS: 1, stock: 1 })
    await lapse(eventId, orderId)
    await world.knex('spike_events').where('id', eventId).update({ payment_window_s: 300 })
    const [rival] = (await createBuyers(world, 1)) as [LoadBuyer]
    const sold = await order(api, eventId, rival)
    await pay(api, sold.orderId, rival)
    const replies = await Promise.all([send(callback), send(callback)])
    expect(replies.map((reply) => reply.body.data.result).toSorted()).to.deep.equal([
      'refund_opened',
      'seen_before',
    ])
    const closed = await until('the refund to be done', async () => {
      const found = await readOrder(api, orderId, buyer)
      return found.refunds[0]?.status === 'done' ? found : false
    })
    expect(closed).to.include({ status: 'closed', close_reason: 'lapsed' })
    expect(closed.refunds).to.have.length(1)
    expect(closed.refunds[0]).to.include({ amount: 500, currency: 'CNY', reason: 'order_closed' })
    expect(closed.payments.map(({ status }) => status)).to.deep.equal(['captured'])
    expect(await units(eventId)).to.include({ stock: 0, paid: 1 })
  })

  it('for a refund is taken once, and only when it is right', async () => {
    const { orderId, callback } = await openPayment()
    await send(callback)
    const second = { ...callback, txn_id: `txn-${randomUUID()}` }
    await send(second)
    const refund = await until('the refund to be done', async () => {
      const row = await world.knex('refunds').where('order_id', orderId).first('id', 'status')
      return row?.status === 'done' ? row : false
    })
    const word = {
      txn_id: `txn-${randomUUID()}`,
      payment_id: callback.payment_id,
      kind: 'refunded',
      amount: 500,
      currency: 'CNY',
      refund_id: refund.id,
    }
    expect((await send(word)).body.data).to.deep.equal({ result: 'seen_before' })
    expectRefusal(await send({ ...word, amount: 1 }), 409, 'PAYMENT_MISMATCH')
    expectRefusal(await send({ ...word, refund_id: randomUUID() }), 404, 'NOT_FOUND')
    expectRefusal(await send({ ...word, payment_id: randomUUID() }), 404, 'NOT_FOUND')
    const done = await world
      .knex('payment_events')
      .where({ payment_id: callback.payment_id, kind: 'refunded' })
    expect(done).to.have.length(1)
  })
})
