import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { SYSTEM } from '../../src/audit/audit.ts'
import { decodeRecord } from '../../src/reserve/record.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { endSale, publishSale } from '../../src/sale.ts'
import { issueToken, tokenKey } from '../../src/users/tokens.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createDraft, createSale } from '../factories/sales.ts'
import { attack, createAttackClient, noteStatus, unchanged } from '../support/attack.ts'
import { buy, order, readOrder } from '../support/buying.ts'
import { createFlood, type Flood } from '../support/flood.ts'
import { expectRefusal, readEnvelope, type Client } from '../support/http.ts'
import { atRest } from '../support/state.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks on the sale', () => {
  let world: World
  let api: Client
  let flood: Flood
  let buyers: LoadBuyer[]

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    flood = createFlood(world.apiUrl, 100)
    buyers = await createBuyers(world, 120)
  })
  after(async () => {
    flood.close()
    await world.close()
  })

  const nextBuyer = (): LoadBuyer => buyers.pop() as LoadBuyer
  const stockOf = async (eventId: string) => Number(await world.redis.get(spikeKeys(eventId).stock))

  /** Sends 500 purchases of one buyer at once, and sees that one unit went, in both stores. */
  async function oneOf500(
    buyer: LoadBuyer,
    headersOf: (i: number) => Record<string, string>,
    allowed: readonly string[] = ['409 ALREADY_PURCHASED'],
  ): Promise<void> {
    const eventId = await createSale(world, { stock: 600 })
    const replies = await Promise.all(
      Array.from({ length: 500 }, (_, i) =>
        flood.send({
          method: 'POST',
          path: `/api/v1/spike-events/${eventId}/orders`,
          headers: { 'content-type': 'application/json', ...headersOf(i) },
          body: '{}',
        }),
      ),
    )
    const rids = new Set<unknown>()
    for (const { status, text } of replies) {
      noteStatus(status)
      const { error, data } = readEnvelope<{ reservation_id?: string } | undefined>(text)
      expect(['202 undefined', ...allowed]).to.include(`${status} ${error}`)
      if (data?.reservation_id !== undefined) rids.add(data.reservation_id)
    }
    expect(rids.size, 'reservations that were told').to.equal(1)
    await atRest(world, eventId)
    const claims = await world.knex('spike_orders').where({ event_id: eventId, live: true }).select('user_id')
    expect(claims).to.deep.equal([{ user_id: buyer.user_id }])
    expect(await world.knex('orders').where({ event_id: eventId })).to.have.length(1)
    expect(await world.redis.hkeys(spikeKeys(eventId).holders)).to.deep.equal([buyer.user_id])
    expect(await world.scripts.countUnits({ eventId })).to.include({
      stock: 599,
      confirmed: 1,
      held: 0,
      queued: 0,
    })
  }

  attack('500 purchases at once with one token: one order', () => {
    const buyer = nextBuyer()
    return oneOf500(buyer, () => ({ authorization: `Bearer ${buyer.access_token}` }))
  })

  attack('500 purchases at once with 500 Idempotency-Keys: one order', () => {
    const buyer = nextBuyer()
    return oneOf500(buyer, () => ({
      authorization: `Bearer ${buyer.access_token}`,
      'idempotency-key': randomUUID(),
    }))
  })

  attack('500 purchases at once with one Idempotency-Key: one order', () => {
    const buyer = nextBuyer()
    const key = randomUUID()
    return oneOf500(
      buyer,
      () => ({ authorization: `Bearer ${buyer.access_token}`, 'idempotency-key': key }),
      ['409 IDEMPOTENCY_IN_FLIGHT'],
    )
  })

  attack('500 purchases at once with ten tokens of one buyer: one order', () => {
    const buyer = nextBuyer()
    const user = { id: buyer.user_id, role: 'user', token_version: 1 } as const
    const tokens = Array.from({ length: 10 }, (_, i) =>
      issueToken(tokenKey(world.config.jwtSecret), user, 'api', 600 + i),
    )
    expect(new Set(tokens).size).to.equal(10)
    return oneOf500(buyer, (i) => ({ authorization: `Bearer ${tokens[i % 10]}` }))
  })

  attack(
    'quantities of 0, -1, 1.5, 1e309, text, lists, null, 2^53 or above the limits: 400, no unit taken',
    async () => {
      const eventId = await createSale(world, { perUserLimit: 2 })
      const { access_token: token } = nextBuyer()
      const quantities = [
        '0',
        '-1',
        '1.5',
        '1e309',
        '-0',
        '"1"',
        '[1]',
        'null',
        '9007199254740992',
        '101',
        '3',
      ]
      await unchanged(world, [eventId], async () => {
        for (const quantity of [...quantities, 'true', '{}', '{"$gt":0}', '1e-9', '0x1', '٣']) {
          const raw = `{"quantity":${quantity}}`
          const reply = await api('POST', `/spike-events/${eventId}/orders`, { token, raw })
          expectRefusal(reply, 400, 'VALIDATION_FAILED')
        }
      })
      expect(await stockOf(eventId)).to.equal(10)
    },
  )

  attack('a price, a product, a buyer or a clock in the body of a purchase: 400', async () => {
    const eventId = await createSale(world)
    const other = await createSale(world)
    const buyer = nextBuyer()
    await unchanged(world, [eventId, other], async () => {
      for (const more of [
        { spike_price: 1 },
        { price: 0 },
        { amount: 1 },
        { currency: 'IDR' },
        { product_id: await createProductId() },
        { sku: 'SKU-1' },
        { event_id: other },
        { user_id: randomUUID() },
        { reservation_id: randomUUID() },
        { now: 0 },
      ])
        expectRefusal(await buy(api, eventId, buyer, { quantity: 1, ...more }), 400, 'VALIDATION_FAILED')
    })
  })
  const createProductId = async () => (await world.knex('products').first('id')).id as string

  attack('purchases before the first millisecond, with a clock of their own: SALE_NOT_STARTED', async () => {
    const startAt = new Date(Date.now() + 700)
    const eventId = await createSale(world, { startAt })
    const clock = new Date(Date.now() + 3_600_000).toUTCString()
    let early = 0
    const rid = await until('the first purchase', async () => {
      const path = `/api/v1/spike-events/${eventId}/orders`
      const { access_token: token } = buyers[early % 20] as LoadBuyer
      const headers = {
        authorization: `Bearer ${token}`,
        date: clock,
        'x-client-time': clock,
        'x-time': clock,
      }
      const { status, text } = await flood.send({ method: 'POST', path, headers, body: undefined })
      noteStatus(status)
      const { error, data } = readEnvelope<{ starts_in_ms: number; reservation_id: string }>(text)
      if (status === 202) return data.reservation_id
      expect(error).to.equal('SALE_NOT_STARTED')
      expect(data.starts_in_ms).to.be.at.least(1)
      early++
      return false
    })
    expect(early, 'early tries').to.be.at.least(3)
    expect(await reservedAt(eventId, rid)).to.be.at.least(startAt.getTime())
    await atRest(world, eventId)
  })

  attack('purchases after the last millisecond, with a clock of their own: SALE_ENDED', async () => {
    const endAt = new Date(Date.now() + 700)
    const eventId = await createSale(world, { endAt, stock: 1_000 })
    const crowd = await createBuyers(world, 400)
    const rids: string[] = []
    await until('the end', async () => {
      const reply = await buy(api, eventId, crowd.pop() as LoadBuyer)
      if (reply.status === 202) rids.push(reply.body.data.reservation_id)
      else expectRefusal(reply, 409, 'SALE_ENDED')
      return reply.status === 409
    })
    expect(rids).to.not.be.empty
    for (const rid of rids) expect(await reservedAt(eventId, rid)).to.be.below(endAt.getTime())
    const headers = { date: new Date(endAt.getTime() - 3_600_000).toUTCString() }
    const { access_token: token } = crowd.pop() as LoadBuyer
    const late = await api('POST', `/spike-events/${eventId}/orders`, { token, headers })
    expectRefusal(late, 409, 'SALE_ENDED')
    await atRest(world, eventId)
    await endSale(world, eventId, SYSTEM) // so that no sweep does it while another case compares states
  })

  /** When the unit was taken, by the clock of Redis. */
  async function reservedAt(eventId: string, rid: string): Promise<number> {
    const record = decodeRecord((await world.redis.hget(spikeKeys(eventId).states, rid)) ?? '')
    return record.reservedAtMs
  }

  attack(
    'buying, cancelling and buying again without end: twice with lapse_limit 1, never two at once',
    async () => {
      const eventId = await createSale(world, { stock: 5, lapseLimit: 1 })
      const buyer = nextBuyer()
      for (const _ of [1, 2]) {
        const { orderId } = await order(api, eventId, buyer)
        expectRefusal(await buy(api, eventId, buyer), 409, 'ALREADY_PURCHASED')
        const again = await Promise.all([
          api('POST', `/orders/${orderId}/cancel`, { token: buyer.access_token }),
          ...Array.from({ length: 5 }, () => buy(api, eventId, buyer)),
        ])
        expect(again[0]?.status).to.equal(200)
        for (const reply of again.slice(1)) expectRefusal(reply, 409, 'ALREADY_PURCHASED')
        await until('the unit to be back', async () => (await stockOf(eventId)) === 5)
      }
      expectRefusal(await buy(api, eventId, buyer), 409, 'LAPSE_LIMIT')
      await atRest(world, eventId)
      expect(await world.knex('spike_orders').where({ event_id: eventId, live: true })).to.deep.equal([])
      expect(await world.knex('spike_events').where({ id: eventId }).first('available')).to.deep.equal({
        available: 5,
      })
    },
  )

  attack('an order cancelled five times at once to get units back more than once: once', async () => {
    const eventId = await createSale(world, { stock: 5 })
    const buyer = nextBuyer()
    const { orderId } = await order(api, eventId, buyer)
    const cancel = () => api('POST', `/orders/${orderId}/cancel`, { token: buyer.access_token })
    const replies = await Promise.all(Array.from({ length: 5 }, cancel))
    expect(replies.map(({ status }) => status)).to.include(200)
    await until('the unit to be back', async () => (await stockOf(eventId)) === 5)
    expect(await world.scripts.countUnits({ eventId })).to.include({ stock: 5, released: 1, confirmed: 0 })
    expect((await readOrder(api, orderId, buyer)).status).to.equal('closed')
  })

  attack('an event published after its window is over: SALE_ENDED, nothing granted', async () => {
    const draftId = await createDraft(world, { endAt: new Date(Date.now() - 1_000) })
    const { token } = await createAccount(world, 'admin')
    await unchanged(world, [draftId], async () => {
      const reply = await api('POST', `/spike-events/${draftId}/publish`, { token })
      expectRefusal(reply, 409, 'SALE_ENDED')
    })
    expect(await world.redis.exists(spikeKeys(draftId).gate)).to.equal(0)
  })

  attack('one draft published twenty times at once: granted once', async () => {
    const draftId = await createDraft(world, { stock: 7 })
    const { token } = await createAccount(world, 'admin')
    const publish = () => api('POST', `/spike-events/${draftId}/publish`, { token })
    const replies = await Promise.all(Array.from({ length: 20 }, publish))
    expect(replies.filter(({ status }) => status === 200)).to.have.length(1)
    for (const reply of replies) if (reply.status !== 200) expectRefusal(reply, 409, 'WRONG_STATE')
    expect(await publishSale(world, draftId, SYSTEM)).to.include({ kind: 'wrong_state' })
    expect(await stockOf(draftId)).to.equal(7)
  })
})
