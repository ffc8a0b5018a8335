import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

/** The stored replies are lost, as when the process has died or Redis has: PostgreSQL alone knows what was made. */
describe('a request that is repeated with its key after its stored reply was lost', () => {
  let world: World
  let api: Client
  let admin: Account
  let key: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    admin = await createAccount(world, 'admin')
  })
  after(() => world.close())
  beforeEach(() => {
    key = randomUUID()
  })

  async function loseReplies(): Promise<void> {
    const keys = await world.redis.keys(`${world.config.namespace}:idem:*`)
    for (const stored of keys) await world.redis.unlink(stored)
  }

  /** Sends it, loses the reply, sends it again twice at once. */
  async function repeat(path: string, json: object): Promise<Reply<Record<string, unknown>>[]> {
    const ask = { token: admin.token, json, headers: { 'idempotency-key': key } }
    const first = await api('POST', path, ask)
    expect(first.status, first.text).to.equal(201)
    await loseReplies()
    const second = await api('POST', path, ask)
    expect(second.headers.get('idempotent-replayed')).to.equal(null)
    return [first, second]
  }

  it('moves the units of an inventory once', async () => {
    const productId = await createProduct(world, 10)
    for (const delta of [5, -15]) {
      key = randomUUID()
      const [first, second] = await repeat(`/products/${productId}/inventory/adjustments`, {
        delta,
        reason: 'count',
      })
      expect(second?.body.data).to.deep.equal(first?.body.data)
    }
    const moves = await world.knex('inventory_movements').where('product_id', productId).select('delta')
    expect(moves.map(({ delta }) => delta).toSorted()).to.deep.equal([-15, 10, 5])
  })

  it("moves the units of a sale's stock once, and names the same row of the ledger", async () => {
    const eventId = await createSale(world, { stock: 10 })
    const [first, second] = await repeat(`/spike-events/${eventId}/stock`, { delta: -10, reason: 'cut' })
    expect(second?.body.data).to.deep.equal(first?.body.data)
    expect(second?.body.data).to.include({ granted: 0, available: 0 })
    expect(await world.redis.get(`{spike:${eventId}}:stock`)).to.equal('0')
  })

  it('drafts one event, also when its product is gone meanwhile', async () => {
    const product_id = await createProduct(world)
    const draft = {
      product_id,
      start_at: '2999-01-01T00:00:00Z',
      end_at: '2999-01-02T00:00:00Z',
      spike_price: 1,
      stock: 1,
      payment_window_s: 60,
    }
    const [first, second] = await repeat('/spike-events', draft)
    expect(second?.body.data.id).to.equal(first?.body.data.id)
    await world.knex('products').where('id', product_id).update({ deleted_at: world.knex.fn.now() })
    await loseReplies()
    const ask = { token: admin.token, json: draft, headers: { 'idempotency-key': key } }
    expect((await api('POST', '/spike-events', ask)).body.data.id).to.equal(first?.body.data.id)
    expect(await world.knex('spike_events').where({ product_id })).to.have.length(1)
    expectRefusal(
      await api('POST', '/spike-events', { ...ask, headers: { 'idempotency-key': randomUUID() } }),
      404,
      'NOT_FOUND',
    )
  })

  it('is another request under another key, and after a refusal', async () => {
    const productId = await createProduct(world, 1)
    const path = `/products/${productId}/inventory/adjustments`
    const ask = (delta: number) =>
      api('POST', path, {
        token: admin.token,
        json: { delta, reason: 'count' },
        headers: { 'idempotency-key': key },
      })
    expectRefusal(await ask(-2), 409, 'INSUFFICIENT_STOCK')
    expect((await ask(-1)).status).to.equal(201)
    key = randomUUID()
    expect((await ask(7)).body.data).to.include({ stock: 7 })
  })
})
