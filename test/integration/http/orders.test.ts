import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { order as orderInSale, pay, readOrder, type OrderData } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { letLapse } from '../../support/reservations.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

type Item = { product_id: string; quantity: number }

describe('ordinary orders over HTTP', () => {
  let world: World
  let api: Client
  let buyer: LoadBuyer
  let other: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    ;[buyer, other] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
  })
  after(() => world.close())

  const place = (items: unknown, ask: { who?: LoadBuyer; key?: string } = {}): Promise<Reply<OrderData>> =>
    api<OrderData>('POST', '/orders', {
      token: (ask.who ?? buyer).access_token,
      json: { items },
      headers: { 'idempotency-key': ask.key ?? randomUUID() },
    })
  const cancel = (id: string, who = buyer) =>
    api<OrderData>('POST', `/orders/${id}/cancel`, { token: who.access_token })

  async function placed(items: Item[], who = buyer): Promise<OrderData> {
    const reply = await place(items, { who })
    expect(reply.status, reply.text).to.equal(201)
    return reply.body.data
  }

  /** Units in the inventory; the ledger has to add up to them. */
  async function stockOf(productId: string): Promise<number> {
    const { rows } = await world.knex.raw(
      `SELECT stock, (SELECT sum(delta)::int FROM inventory_movements m WHERE m.product_id = i.product_id) AS moved
         FROM inventory i WHERE product_id = ?`,
      [productId],
    )
    expect(rows[0].moved, 'sum of the ledger').to.equal(rows[0].stock)
    return rows[0].stock
  }

  it('take their units out of the inventory with the order, and tell what it is', async () => {
    const [a, b] = [await createProduct(world, 10), await createProduct(world, 10)]
    const items = [
      { product_id: a, quantity: 3 },
      { product_id: b, quantity: 1 },
    ]
    const reply = await place(items)
    expect(reply.status, reply.text).to.equal(201)
    const { data } = reply.body
    expect(reply.headers.get('location')).to.equal(`/api/v1/orders/${data.id}`)
    expect(data).to.include({ kind: 'ordinary', status: 'pending', amount: 4_000, currency: 'CNY' })
    expect(data).to.include({ event_id: null, reservation_id: null, close_reason: null, paid_at: null })
    expect(data.items).to.have.deep.members(items.map((item) => ({ ...item, unit_price: 1_000 })))
    expect(Date.parse(data.expires_at) - Date.parse(String(reply.headers.get('date')))).to.be.within(
      890_000,
      910_000,
    )
    expect([await stockOf(a), await stockOf(b)]).to.deep.equal([7, 9])
  })

  it('are paid like those of a sale', async () => {
    const product = await createProduct(world, 5)
    const { id } = await placed([{ product_id: product, quantity: 2 }])
    const paid = await pay(api, id, buyer)
    expect(paid.payments).to.have.length(1)
    expect(paid.payments[0]).to.include({ status: 'captured', amount: 2_000 })
    expect(await stockOf(product)).to.equal(3)
  })

  it('that are cancelled, be it five times at once, give their units back once and can not be paid any more', async () => {
    const product = await createProduct(world, 5)
    const { id } = await placed([{ product_id: product, quantity: 2 }])
    const replies = await Promise.all(Array.from({ length: 5 }, () => cancel(id)))
    for (const { status, body } of replies) {
      expect(status).to.equal(200)
      expect(body.data).to.include({ id, status: 'closed', close_reason: 'cancelled' })
    }
    expect(await stockOf(product)).to.equal(5)
    const late = await api('POST', `/orders/${id}/payments`, { token: buyer.access_token })
    expectRefusal(late, 409, 'ORDER_NOT_PENDING')
  })

  it('that are not paid in time are closed, and their units come back', async () => {
    const product = await createProduct(world, 5)
    const { id } = await placed([{ product_id: product, quantity: 2 }])
    await letLapse(world.knex, [id])
    await until('the order to lapse', async () => (await readOrder(api, id, buyer)).status === 'closed')
    expect(await readOrder(api, id, buyer)).to.include({ close_reason: 'lapsed' })
    expect(await stockOf(product)).to.equal(5)
    expectRefusal(await cancel(id), 409, 'ORDER_NOT_PENDING')
  })

  it('are refused whole when one product has too few units, and nothing is taken', async () => {
    const [plenty, scarce] = [await createProduct(world, 10), await createProduct(world, 1)]
    await atRest(world)
    const before = await stateOf(world)
    const reply = await place([
      { product_id: plenty, quantity: 1 },
      { product_id: scarce, quantity: 2 },
    ])
    expectRefusal(reply, 409, 'INSUFFICIENT_STOCK')
    expect(reply.body.data).to.deep.equal({ product_id: scarce })
    expect(await stateOf(world)).to.deep.equal(before)
  })

  it('are never sold over the inventory, whatever 60 buyers order at once in whatever order', async () => {
    const [a, b] = [await createProduct(world, 20), await createProduct(world, 25)]
    const crowd = await createBuyers(world, 60)
    const replies = await Promise.all(
      crowd.map((who, i) => {
        const items = [
          { product_id: a, quantity: 1 },
          { product_id: b, quantity: 1 },
        ]
        return place(i % 2 ? items : items.toReversed(), { who })
      }),
    )
    expect(replies.filter(({ status }) => status === 201)).to.have.length(20)
    for (const reply of replies) if (reply.status !== 201) expectRefusal(reply, 409, 'INSUFFICIENT_STOCK')
    expect([await stockOf(a), await stockOf(b)]).to.deep.equal([0, 5])
  })

  it('are refused for products that are unknown, deleted or of two currencies', async () => {
    const [gone, yuan, euro] = await Promise.all([1, 2, 3].map(() => createProduct(world)))
    await world
      .knex('products')
      .where('id', gone ?? '')
      .update({ deleted_at: world.knex.fn.now() })
    await world
      .knex('products')
      .where('id', euro ?? '')
      .update({ currency: 'EUR' })
    await atRest(world)
    const before = await stateOf(world)
    const item = (id: string | undefined) => ({ product_id: id, quantity: 1 })
    expectRefusal(await place([item(randomUUID())]), 404, 'NOT_FOUND')
    expectRefusal(await place([item(gone)]), 404, 'NOT_FOUND')
    expectRefusal(await place([item(yuan), item(euro)]), 409, 'MIXED_CURRENCIES')
    expect(await stateOf(world)).to.deep.equal(before)
  })

  it('take no price, amount, status or owner from the buyer, and no items that make no sense', async () => {
    const product_id = await createProduct(world)
    await atRest(world)
    const before = await stateOf(world)
    for (const items of [
      [],
      undefined,
      'all',
      { product_id, quantity: 1 },
      [{ product_id, quantity: 0 }],
      [{ product_id, quantity: -1 }],
      [{ product_id, quantity: 1.5 }],
      [{ product_id, quantity: '1' }],
      [{ product_id, quantity: 101 }],
      [{ product_id, quantity: 1, unit_price: 1 }],
      [{ product_id: 'x', quantity: 1 }],
      [
        { product_id, quantity: 1 },
        { product_id: product_id.toUpperCase(), quantity: 1 },
      ],
      Array.from({ length: 21 }, () => ({ product_id: randomUUID(), quantity: 1 })),
    ])
      expectRefusal(await place(items), 400, 'VALIDATION_FAILED')
    for (const more of [
      { amount: 1 },
      { status: 'paid' },
      { user_id: other.user_id },
      { expires_at: 'never' },
    ]) {
      const reply = await api('POST', '/orders', {
        token: buyer.access_token,
        json: { items: [{ product_id, quantity: 1 }], ...more },
        headers: { 'idempotency-key': randomUUID() },
      })
      expectRefusal(reply, 400, 'VALIDATION_FAILED')
    }
    expect(await stateOf(world)).to.deep.equal(before)
  })

  it('need a key: none is refused, 100 requests with one make one order, and other buyers have keys of their own', async () => {
    const product = await createProduct(world, 100)
    const item = [{ product_id: product, quantity: 1 }]
    const bare = await api('POST', '/orders', { token: buyer.access_token, json: { items: item } })
    expectRefusal(bare, 400, 'IDEMPOTENCY_KEY_REQUIRED')
    const key = randomUUID()
    const replies = await Promise.all(Array.from({ length: 100 }, () => place(item, { key })))
    const made = replies.filter(({ status }) => status === 201)
    for (const reply of replies) if (reply.status !== 201) expectRefusal(reply, 409, 'IDEMPOTENCY_IN_FLIGHT')
    expect(new Set(made.map(({ body }) => body.data.id)).size).to.equal(1)
    expect(made.filter(({ headers }) => headers.get('idempotent-replayed') === null)).to.have.length(1)
    expect(await stockOf(product)).to.equal(99)
    const again = await place(item, { key })
    expect(again.status).to.equal(201)
    expect(again.body.data).to.deep.equal(made[0]?.body.data)
    expectRefusal(await place([{ product_id: product, quantity: 2 }], { key }), 422, 'IDEMPOTENCY_MISMATCH')
    expect((await place(item, { key, who: other })).status).to.equal(201)
    expect(await stockOf(product)).to.equal(98)
  })

  it('are made once for a key although the stored replies are lost', async () => {
    const product = await createProduct(world, 10)
    const item = [{ product_id: product, quantity: 1 }]
    const key = randomUUID()
    const first = await place(item, { key })
    const stored = await world.redis.keys(`${world.config.namespace}:idem:*`)
    expect(stored).to.not.be.empty
    await world.redis.unlink(...stored)
    const second = await place(item, { key })
    expect(second.body.data).to.deep.equal(first.body.data)
    expect(await stockOf(product)).to.equal(9)
    await world
      .knex('keyed_requests')
      .where('key', key)
      .update({ made_at: world.knex.raw(`now() - interval '25 hours'`) })
    await world.redis.unlink(...(await world.redis.keys(`${world.config.namespace}:idem:*`)))
    const dayAfter = await place(item, { key })
    expect(dayAfter.body.data.id).to.not.equal(first.body.data.id)
  })

  it('are refused to a buyer whose account is gone', async () => {
    const [leaver] = (await createBuyers(world, 1)) as [LoadBuyer]
    await world.knex('users').where('id', leaver.user_id).update({ disabled: true })
    const item = [{ product_id: await createProduct(world), quantity: 1 }]
    expectRefusal(await place(item, { who: leaver }), 401, 'UNAUTHENTICATED')
    expect(await world.knex('orders').where('user_id', leaver.user_id)).to.deep.equal([])
  })
})

describe("a buyer's orders over HTTP", () => {
  let world: World
  let api: Client
  let buyer: LoadBuyer
  let other: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    ;[buyer, other] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
  })
  after(() => world.close())

  interface Page {
    items: OrderData[]
    page: number
    page_size: number
    total: number
  }
  const list = (query: string, who = buyer) =>
    api<Page>('GET', `/orders${query}`, { token: who.access_token })
  const get = (path: string, who?: LoadBuyer) =>
    api('GET', path, who === undefined ? {} : { token: who.access_token })

  it('are listed by page, status, sale and sort, and never those of others', async () => {
    const eventId = await createSale(world)
    const product = await createProduct(world)
    const inSale = await orderInSale(api, eventId, buyer)
    for (const quantity of [3, 1, 2])
      await api('POST', '/orders', {
        token: buyer.access_token,
        json: { items: [{ product_id: product, quantity }] },
        headers: { 'idempotency-key': randomUUID() },
      })
    await pay(api, inSale.orderId, buyer)
    const all = await list('')
    expect(all.body.data).to.include({ page: 1, page_size: 20, total: 4 })
    expect(all.body.data.items.map(({ amount }) => amount)).to.deep.equal([2_000, 1_000, 3_000, 500])
    expect((await list('?sort=amount,asc')).body.data.items.map(({ amount }) => amount)).to.deep.equal([
      500, 1_000, 2_000, 3_000,
    ])
    const second = await list('?page=2&page_size=3')
    expect(second.body.data).to.include({ page: 2, page_size: 3, total: 4 })
    expect(second.body.data.items).to.have.length(1)
    expect((await list('?status=paid')).body.data.items.map(({ id }) => id)).to.deep.equal([inSale.orderId])
    expect((await list(`?event_id=${eventId}`)).body.data.total).to.equal(1)
    expect((await list('', other)).body.data).to.deep.include({ items: [], total: 0 })
  })

  it('are not listed by what the contract does not name', async () => {
    for (const query of [
      '?user_id=1',
      '?sort=user_id,asc',
      '?sort=amount',
      '?sort=amount,asc;drop',
      '?status=any',
      '?page=0',
      '?page_size=101',
      '?page=1&page=2',
      '?event_id=x',
      '?include=user.password_hash',
    ])
      expectRefusal(await list(query), 400, 'VALIDATION_FAILED')
    expectRefusal(await get('/orders'), 401, 'UNAUTHENTICATED')
  })

  it('of others are as unknown as those that do not exist, on every route', async () => {
    const { orderId } = await orderInSale(api, await createSale(world), buyer)
    await atRest(world)
    const before = await stateOf(world)
    for (const id of [orderId, randomUUID()]) {
      expectRefusal(await get(`/orders/${id}`, other), 404, 'NOT_FOUND')
      expectRefusal(await get(`/orders/${id}/timeline`, other), 404, 'NOT_FOUND')
      const ask = { token: other.access_token }
      expectRefusal(await api('POST', `/orders/${id}/cancel`, ask), 404, 'NOT_FOUND')
      expectRefusal(await api('POST', `/orders/${id}/payments`, ask), 404, 'NOT_FOUND')
    }
    for (const path of [`/orders/${orderId}`, `/orders/${orderId}/timeline`])
      expectRefusal(await get(path), 401, 'UNAUTHENTICATED')
    expectRefusal(await api('POST', `/orders/${orderId}/cancel`), 401, 'UNAUTHENTICATED')
    for (const json of [{ status: 'paid' }, { amount: 1 }, { expires_at: '2999-01-01T00:00:00Z' }]) {
      expectRefusal(
        await api('PATCH', `/orders/${orderId}`, { token: buyer.access_token, json }),
        405,
        'METHOD_NOT_ALLOWED',
      )
      expectRefusal(
        await api('POST', `/orders/${orderId}/cancel`, { token: buyer.access_token, json }),
        400,
        'VALIDATION_FAILED',
      )
    }
    expect(await stateOf(world)).to.deep.equal(before)
  })

  it('of a sale give their unit to the next buyer when they are cancelled, and count as a lapse', async () => {
    const eventId = await createSale(world, { stock: 1, lapseLimit: 0 })
    const { orderId } = await orderInSale(api, eventId, buyer)
    const reply = await api<OrderData>('POST', `/orders/${orderId}/cancel`, { token: buyer.access_token })
    expect(reply.body.data).to.include({ status: 'closed', close_reason: 'cancelled' })
    await until(
      'the unit to be back',
      async () => (await world.redis.get(`{spike:${eventId}}:stock`)) === '1',
    )
    const again = await api('POST', `/spike-events/${eventId}/orders`, {
      token: buyer.access_token,
      json: {},
    })
    expectRefusal(again, 409, 'LAPSE_LIMIT')
    expect((await orderInSale(api, eventId, other)).orderId).to.be.a('string')
  })

  it('tell their whole story in order: reserved, decided, paid late, or closed and refunded', async () => {
    const eventId = await createSale(world)
    const { orderId, rid } = await orderInSale(api, eventId, buyer)
    const started = await api('POST', `/orders/${orderId}/payments`, {
      token: buyer.access_token,
      json: { outcome: 'failure' },
    })
    expect(started.status).to.equal(202)
    await until(
      'the payment to fail',
      async () => (await readOrder(api, orderId, buyer)).payments[0]?.status === 'failed',
    )
    await pay(api, orderId, buyer, 'paid', { outcome: 'duplicate' })
    const reply = await api<{ entries: { at: string; what: string; detail: Record<string, unknown> }[] }>(
      'GET',
      `/orders/${orderId}/timeline`,
      { token: buyer.access_token },
    )
    const { entries } = reply.body.data
    const what = entries.map((entry) => entry.what)
    for (const word of [
      'reserved',
      'received',
      'decided',
      'ordered',
      'payment_started',
      'payment_failed',
      'paid',
    ])
      expect(what, word).to.include(word)
    expect(what.filter((word) => word === 'payment_captured')).to.have.length(1)
    expect(what.indexOf('payment_failed')).to.be.below(what.indexOf('payment_captured'))
    expect(entries[0]).to.deep.include({ what: 'reserved', detail: { reservation_id: rid, quantity: 1 } })
    expect(entries.map(({ at }) => at)).to.deep.equal(entries.map(({ at }) => at).toSorted())
  })

  it('end as the outcome of their payment says: lapsed without an answer, or bought again with a late one', async () => {
    const eventId = await createSale(world, { paymentWindowS: 3 })
    const silent = await orderInSale(api, eventId, buyer)
    const late = await orderInSale(api, eventId, other)
    for (const [{ orderId }, who, outcome] of [
      [silent, buyer, 'timeout'],
      [late, other, 'late'],
    ] as const)
      await api('POST', `/orders/${orderId}/payments`, { token: who.access_token, json: { outcome } })
    const lapsed = await until('the silent one to lapse', async () => {
      const found = await readOrder(api, silent.orderId, buyer)
      return found.status === 'closed' ? found : false
    })
    expect(lapsed.payments.map(({ status }) => status)).to.deep.equal(['pending'])
    const bought = await until('the late one to be paid', async () => {
      const found = await readOrder(api, late.orderId, other)
      return found.status === 'paid' ? found : false
    })
    expect(bought).to.include({ close_reason: null })
    await until('redis to agree', async () => {
      const counts = await world.scripts.countUnits({ eventId })
      return counts !== 'NOT_READY' && counts.stock === 9 && counts.paid === 1
    })
  })
})
