import { randomBytes, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { SIGNATURE_HEADER, signCallback } from '../../src/payments/signature.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { order, pay, readOrder } from '../support/buying.ts'
import { expectRefusal, type Client, type Reply } from '../support/http.ts'
import { atRest } from '../support/state.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const HOURS = 3_600_000

describe('attacks on payments', () => {
  let world: World
  let api: Client
  let buyer: LoadBuyer
  let thief: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    ;[buyer, thief] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
  })
  after(() => world.close())

  /** An order with an open payment, of which the provider has not been told, and the word that it would send. */
  async function openPayment() {
    const eventId = await createSale(world)
    const { orderId } = await order(api, eventId, buyer)
    const paymentId = uuidv7()
    const money = { amount: 500, currency: 'CNY' }
    await world.knex('payments').insert({ id: paymentId, order_id: orderId, provider: 'simulated', ...money })
    await atRest(world, eventId)
    const callback = { txn_id: `txn-${randomUUID()}`, payment_id: paymentId, kind: 'captured', ...money }
    return { eventId, orderId, callback }
  }

  const sign = (raw: string, at = Date.now()) => signCallback(world.config.paymentSecret, raw, at)
  const post = (raw: string, signature?: string): Promise<Reply<{ result: string }>> =>
    api('POST', '/payments/callback', {
      raw,
      headers: signature === undefined ? {} : { [SIGNATURE_HEADER]: signature },
    })
  const send = (callback: unknown) => post(JSON.stringify(callback), sign(JSON.stringify(callback)))
  const start = (orderId: string, json: object, { access_token: token } = buyer) =>
    api('POST', `/orders/${orderId}/payments`, { token, json })

  /** Sees that each of these is no word of the provider. */
  async function unsigned(words: (raw: string) => readonly (readonly [string, string | undefined])[]) {
    const { eventId, callback } = await openPayment()
    await unchanged(world, [eventId], async () => {
      for (const [raw, signature] of words(JSON.stringify(callback)))
        expectRefusal(await post(raw, signature), 401, 'INVALID_SIGNATURE')
    })
  }

  attack('a callback without a signature, or with half of one: 401', () =>
    unsigned((raw) => [
      [raw, undefined],
      [raw, ''],
      [raw, 'v1=x'],
      [raw, `t=${Date.now()}`],
      [raw, `t=${Date.now()},v1=`],
      [raw, sign(raw).slice(0, -2)],
      [raw, `${sign(raw)},${sign(raw)}`],
      [raw, sign(raw).toUpperCase()],
    ]),
  )

  attack('a callback signed with another secret, an empty one, or that of the tokens: 401', () =>
    unsigned((raw) =>
      [randomBytes(32).toString('hex'), '', world.config.jwtSecret, world.config.paymentSecret.slice(1)].map(
        (secret) => [raw, signCallback(secret, raw, Date.now())] as const,
      ),
    ),
  )

  attack('a signed callback whose body was changed after it: 401', () =>
    unsigned((raw) => [
      [raw.replace('500', '1'), sign(raw)],
      [raw.replace('txn-', 'txn2-'), sign(raw)],
      [raw.replace('CNY', 'IDR'), sign(raw)],
      [`${raw} `, sign(raw)],
    ]),
  )

  attack('a signed callback with its keys in another order: 401', () =>
    unsigned((raw) => {
      const reversed = Object.fromEntries(Object.entries(JSON.parse(raw) as object).toReversed())
      return [[JSON.stringify(reversed), sign(raw)]]
    }),
  )

  attack('a callback replayed 24 hours later, or signed for tomorrow: 401', () =>
    unsigned((raw) => [
      [raw, sign(raw, Date.now() - 24 * HOURS)],
      [raw, sign(raw, Date.now() - HOURS / 10)],
      [raw, sign(raw, Date.now() + 24 * HOURS)],
      [raw, sign(raw, Date.now() - 24 * HOURS).replace(/t=\d+/, `t=${Date.now()}`)],
    ]),
  )

  attack('a good callback replayed at once, and five times at the same moment: applied once', async () => {
    const { eventId, orderId, callback } = await openPayment()
    const replies = await Promise.all(Array.from({ length: 5 }, () => send(callback)))
    expect(replies.map(({ body }) => body.data.result).toSorted()).to.deep.equal([
      'paid',
      ...Array(4).fill('seen_before'),
    ])
    await unchanged(world, [eventId], async () =>
      expect((await send(callback)).body.data.result).to.equal('seen_before'),
    )
    expect((await readOrder(api, orderId, buyer)).refunds).to.deep.equal([])
  })

  attack('a signed callback with another amount or currency: 409', async () => {
    const { eventId, callback } = await openPayment()
    await unchanged(world, [eventId], async () => {
      for (const change of [
        { amount: 1 },
        { amount: 499 },
        { amount: 50_000 },
        { currency: 'IDR' },
        { currency: 'cny' },
      ])
        expectRefusal(await send({ ...callback, ...change }), 409, 'PAYMENT_MISMATCH')
    })
  })

  attack(
    'a signed callback with an amount of text, a fraction, below zero, or fields of its own: 400',
    async () => {
      const { eventId, callback } = await openPayment()
      await unchanged(world, [eventId], async () => {
        for (const change of [
          { amount: '500' },
          { amount: 500.5 },
          { amount: -500 },
          { amount: null },
          { amount: [500] },
          { kind: 'paid' },
          { txn_id: '' },
          { payment_id: "' OR 1=1 --" },
          { status: 'captured' },
        ])
          expectRefusal(await send({ ...callback, ...change }), 400, 'VALIDATION_FAILED')
        const twice = JSON.stringify(callback).replace('"amount":500', '"amount":500,"amount":1')
        expectRefusal(await post(twice, sign(twice)), 400, 'VALIDATION_FAILED')
      })
    },
  )

  attack(
    'one transaction of the provider told for two payments: 409 for the second, which stays unpaid',
    async () => {
      const [paid, other] = [await openPayment(), await openPayment()]
      expect((await send(paid.callback)).body.data.result).to.equal('paid')
      await atRest(world, paid.eventId, other.eventId)
      await unchanged(world, [paid.eventId, other.eventId], async () => {
        const stolen = { ...other.callback, txn_id: paid.callback.txn_id }
        expectRefusal(await send(stolen), 409, 'PAYMENT_MISMATCH')
      })
      expect((await readOrder(api, other.orderId, buyer)).status).to.equal('pending')
    },
  )

  attack('a signed callback for a payment that is not there: 404', async () => {
    const { eventId, callback } = await openPayment()
    await unchanged(world, [eventId], async () =>
      expectRefusal(await send({ ...callback, payment_id: randomUUID() }), 404, 'NOT_FOUND'),
    )
  })

  attack('a refund forged: 401 unsigned, 404 for a refund that nobody opened', async () => {
    const { eventId, orderId, callback } = await openPayment()
    expect((await send(callback)).body.data.result).to.equal('paid')
    const refund = { ...callback, txn_id: `txn-${randomUUID()}`, kind: 'refunded', refund_id: randomUUID() }
    await atRest(world, eventId)
    await unchanged(world, [eventId], async () => {
      expectRefusal(await post(JSON.stringify(refund)), 401, 'INVALID_SIGNATURE')
      expectRefusal(await send(refund), 404, 'NOT_FOUND')
      const { refund_id: _, ...without } = refund
      expectRefusal(await send(without), 400, 'VALIDATION_FAILED')
    })
    expect((await readOrder(api, orderId, buyer)).status).to.equal('paid')
  })

  attack('a refund replayed, or told with another amount: once, 409', async () => {
    const { orderId, callback } = await openPayment()
    await send(callback)
    await send({ ...callback, txn_id: `txn-${randomUUID()}` })
    const refund = await until('the refund of the second capture', async () => {
      const row = await world.knex('refunds').where({ order_id: orderId }).first('id', 'status')
      return row?.status === 'done' && row
    })
    const word = { ...callback, txn_id: `txn-${randomUUID()}`, kind: 'refunded', refund_id: refund.id }
    await unchanged(world, [], async () => {
      expect((await send(word)).body.data.result).to.equal('seen_before')
      expectRefusal(await send({ ...word, amount: 1 }), 409, 'PAYMENT_MISMATCH')
    })
    expect(await world.knex('refunds').where({ order_id: orderId })).to.have.length(1)
  })

  attack('a payment of 0.01, or of whatever else the buyer would like to pay: 400', async () => {
    const { eventId, orderId } = await openPayment()
    await unchanged(world, [eventId], async () => {
      for (const json of [
        { amount: 0.01 },
        { amount: 1 },
        { currency: 'IDR' },
        { status: 'captured' },
        { outcome: 'free' },
        { callback_url: 'http://evil.example' },
      ])
        expectRefusal(await start(orderId, json), 400, 'VALIDATION_FAILED')
    })
  })

  attack('the order of another paid: 404', async () => {
    const { eventId, orderId } = await openPayment()
    await unchanged(world, [eventId], async () =>
      expectRefusal(await start(orderId, {}, thief), 404, 'NOT_FOUND'),
    )
  })

  attack('a closed order paid: 409', async () => {
    const { eventId, orderId } = await openPayment()
    await api('POST', `/orders/${orderId}/cancel`, { token: buyer.access_token })
    await until(
      'the unit to be back',
      async () => (await world.redis.get(`{spike:${eventId}}:stock`)) === '10',
    )
    await atRest(world, eventId)
    await unchanged(world, [eventId], async () =>
      expectRefusal(await start(orderId, {}), 409, 'ORDER_NOT_PENDING'),
    )
  })

  attack(
    'money for a cancelled order, to get it back to life: a refund, and the order stays closed',
    async () => {
      const { orderId, callback } = await openPayment()
      await api('POST', `/orders/${orderId}/cancel`, { token: buyer.access_token })
      expect((await send(callback)).body.data.result).to.equal('refund_opened')
      const { status, refunds } = await readOrder(api, orderId, buyer)
      expect([status, refunds.length, refunds[0]?.amount]).to.deep.equal(['closed', 1, 500])
    },
  )

  attack('a paid order cancelled, to get the goods and the money: 409', async () => {
    const { orderId } = await order(api, await createSale(world), buyer)
    await pay(api, orderId, buyer)
    const cancel = await api('POST', `/orders/${orderId}/cancel`, { token: buyer.access_token })
    expectRefusal(cancel, 409, 'ORDER_NOT_PENDING')
    expect((await readOrder(api, orderId, buyer)).status).to.equal('paid')
  })

  attack(
    'a cancel at the very moment of the payment, ten times: paid, or closed with a refund, never both',
    async () => {
      for (let round = 0; round < 10; round++) {
        const { orderId, callback } = await openPayment()
        const [settled] = await Promise.all([
          send(callback),
          api('POST', `/orders/${orderId}/cancel`, { token: buyer.access_token }),
        ])
        const { status, refunds } = await readOrder(api, orderId, buyer)
        const outcome = [settled.body.data.result, status, refunds.length].join(' ')
        expect(['paid paid 0', 'refund_opened closed 1']).to.include(outcome)
      }
    },
  )

  attack('20 payments of one order started at once: one payment, one capture', async () => {
    const eventId = await createSale(world)
    const { orderId } = await order(api, eventId, thief)
    const replies = await Promise.all(Array.from({ length: 20 }, () => start(orderId, {}, thief)))
    const ids = new Set<unknown>()
    for (const reply of replies)
      if (reply.status === 202) ids.add(reply.body.data['payment_id'])
      else expectRefusal(reply, 409, 'ORDER_NOT_PENDING')
    expect(ids.size).to.equal(1)
    await until('the payment', async () => (await readOrder(api, orderId, thief)).status === 'paid')
    const { payments, refunds } = await readOrder(api, orderId, thief)
    expect([payments.length, refunds.length]).to.deep.equal([1, 0])
  })
})
