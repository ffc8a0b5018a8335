import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import type { ShopClient } from '../../../client/index.ts'
import { compose } from '../../../src/compose.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import { KEYS_PER_USER } from '../../../src/platform/idempotency/store.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { freePort } from '../../../tools/lib/set-up.ts'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createProduct } from '../../factories/sales.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { Proxy } from '../../support/proxy.ts'
import { createShop } from '../../support/shop.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a request with an Idempotency-Key', () => {
  let world: World
  let api: Client
  let admin: Account
  let shop: ShopClient
  let productId: string
  let key: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    admin = await createAccount(world, 'admin')
    shop = createShop(world.apiUrl, admin.token)
  })
  after(() => world.close())
  beforeEach(async () => {
    key = randomUUID()
    productId = await createProduct(world, 100)
  })

  /** Adds units to the inventory, which shows how often it was done. */
  function adjust(delta: number, options: { key?: string; token?: string; product?: string } = {}) {
    return api('POST', `/products/${options.product ?? productId}/inventory/adjustments`, {
      token: options.token ?? admin.token,
      json: { delta, reason: 'test' },
      headers: { 'idempotency-key': options.key ?? key },
    })
  }
  async function stock(product = productId): Promise<number> {
    const { stock } = await world.knex('inventory').where({ product_id: product }).first('stock')
    return stock
  }
  const isReplay = (reply: { headers: Headers }) => reply.headers.get('idempotent-replayed') === 'true'
  const keptKeys = async () => {
    const keys = await world.redis.keys(`${world.config.namespace}:idem:*`)
    return keys.filter((kept) => !kept.endsWith(':list'))
  }

  it('is done once; its repeats get the same answer, under their own request ids', async () => {
    const ask = () =>
      shop.POST('/api/v1/products', {
        params: { header: { 'Idempotency-Key': key } },
        body: { sku: `ONCE-${key}`, name: 'Once', price: 100, stock: 3 },
      })
    const first = await ask()
    expect(first.response.status).to.equal(201)
    expect(isReplay(first.response)).to.equal(false)
    const again = await ask()
    expect(again.response.status).to.equal(201)
    expect(isReplay(again.response)).to.equal(true)
    expect(again.data?.data).to.deep.equal(first.data?.data)
    for (const header of ['location', 'etag'])
      expect(again.response.headers.get(header))
        .to.equal(first.response.headers.get(header))
        .and.not.equal(null)
    expect(again.data?.request_id).to.equal(again.response.headers.get('x-request-id'))
    expect(again.data?.request_id).not.to.equal(first.data?.request_id)
    expect(await world.knex('products').where({ sku: `ONCE-${key}` })).to.have.length(1)
  })

  it('is done once by twenty at the same time', async () => {
    const replies = await Promise.all(Array.from({ length: 20 }, () => adjust(1)))
    expect(replies.filter((reply) => reply.status === 201 && !isReplay(reply))).to.have.length(1)
    for (const reply of replies) if (reply.status !== 201) expectRefusal(reply, 409, 'IDEMPOTENCY_IN_FLIGHT')
    expect(await stock()).to.equal(101)
    expect(isReplay(await adjust(1))).to.equal(true)
    expect(await stock()).to.equal(101)
  })

  it('is told to come again while the first one is worked on', async () => {
    const lock = await world.knex.transaction()
    await lock('inventory').where({ product_id: productId }).forUpdate().select()
    const first = adjust(1)
    const [mark = ''] = await until('the first to begin', async () => {
      const keys = await keptKeys()
      const found = []
      for (const kept of keys) if (await world.redis.hexists(kept, 'token')) found.push(kept)
      return found.length > 0 && found
    })
    const second = await adjust(1)
    expectRefusal(second, 409, 'IDEMPOTENCY_IN_FLIGHT')
    expect(Number(second.headers.get('retry-after'))).to.be.within(1, 60)
    expectRefusal(await adjust(2), 422, 'IDEMPOTENCY_MISMATCH')
    // The mark of a process that dies now would end within a minute.
    expect(await world.redis.pttl(mark)).to.be.within(50_000, 60_000)
    await lock.rollback()
    expect((await first).status).to.equal(201)
    expect(await world.redis.pttl(mark)).to.be.within(86_000_000, 86_400_000)
    expect(isReplay(await adjust(1))).to.equal(true)
    expect(await stock()).to.equal(101)
  })

  it('is another request when body or path differ, and refused then', async () => {
    expect((await adjust(1)).status).to.equal(201)
    expectRefusal(await adjust(2), 422, 'IDEMPOTENCY_MISMATCH')
    expectRefusal(await adjust(1, { product: await createProduct(world) }), 422, 'IDEMPOTENCY_MISMATCH')
    expect(await stock()).to.equal(101)
  })

  it('has its key for itself: other users and other routes may use the same', async () => {
    const other = await createAccount(world, 'admin')
    expect((await adjust(1)).status).to.equal(201)
    const theirs = await adjust(1, { token: other.token })
    expect([theirs.status, isReplay(theirs)]).to.deep.equal([201, false])
    const product = await api('POST', '/products', {
      token: admin.token,
      json: { sku: `OTHER-${key}`, name: 'Other', price: 1 },
      headers: { 'idempotency-key': key },
    })
    expect([product.status, isReplay(product)]).to.deep.equal([201, false])
    expect(await stock()).to.equal(102)
  })

  it('sets its key free when it is refused, because nothing was changed', async () => {
    expectRefusal(await adjust(-200), 409, 'INSUFFICIENT_STOCK')
    await adjust(150, { key: randomUUID() })
    const retried = await adjust(-200)
    expect([retried.status, isReplay(retried)]).to.deep.equal([201, false])
    expect(isReplay(await adjust(-200))).to.equal(true)
    expect(await stock()).to.equal(50)
  })

  it('keeps nothing when its input is not valid', async () => {
    const before = await keptKeys()
    expectRefusal(await adjust(0), 400, 'VALIDATION_FAILED')
    expect(await keptKeys()).to.deep.equal(before)
    expect((await adjust(1)).status).to.equal(201)
  })

  it('may put its key in quotes, which are no part of it', async () => {
    expect((await adjust(1, { key: `"${key}"` })).status).to.equal(201)
    expect(isReplay(await adjust(1))).to.equal(true)
  })

  it('has a key of 1 to 255 printable ASCII characters', async () => {
    const before = await keptKeys()
    for (const bad of [
      '""',
      'x'.repeat(256),
      `"${'x'.repeat(256)}"`,
      'x'.repeat(10_000),
      'clé',
      'tab\there',
    ]) {
      const reply = await adjust(1, { key: bad })
      expectRefusal(reply, 400, 'VALIDATION_FAILED')
      expect(reply.text).to.include('Idempotency-Key')
    }
    expect(await keptKeys()).to.deep.equal(before)
    expect(await stock()).to.equal(100)
    for (const good of ['x', ' with space ', 'x'.repeat(255), '{}*:"\\'])
      expect((await adjust(1, { key: good, product: await createProduct(world) })).status).to.equal(201)
  })

  it('is refused when its user has 1,000 keys, until one of them ends', async () => {
    const list = `${world.config.namespace}:idem:{${admin.id}}:list`
    const endsAt = Date.now() + 30_000
    const room = KEYS_PER_USER - (await world.redis.zcard(list))
    await world.redis.zadd(list, ...Array.from({ length: room }, (_, i) => [endsAt, `token ${i}`]).flat())
    const refused = await adjust(1)
    expectRefusal(refused, 429, 'RATE_LIMITED')
    expect(Number(refused.headers.get('retry-after'))).to.be.within(20, 31)
    expect(await stock()).to.equal(100)
    const other = await createAccount(world, 'admin')
    expect((await adjust(1, { token: other.token })).status).to.equal(201)
    await world.redis.zrem(list, ...Array.from({ length: room }, (_, i) => `token ${i}`))
    expect((await adjust(1)).status).to.equal(201)
  })

  it('does not show its key in Redis', async () => {
    await adjust(1)
    for (const kept of await keptKeys())
      expect(kept).to.match(/^test-[0-9a-f]{12}:idem:\{[0-9a-f-]{36}\}:[\w-]{43}$/)
  })

  it('is refused without a key where one is required', async () => {
    const items = [{ product_id: productId, quantity: 1 }]
    const token = (await createAccount(world)).token
    const ask = (headers: Record<string, string>) =>
      api('POST', '/orders', { token, json: { items }, headers })
    expectRefusal(await ask({}), 400, 'IDEMPOTENCY_KEY_REQUIRED')
    expectRefusal(await ask({ 'idempotency-key': '' }), 400, 'IDEMPOTENCY_KEY_REQUIRED')
    expect((await ask({ 'idempotency-key': key })).status).to.equal(201)
    expect(await stock()).to.equal(99)
  })

  it('is worked on each time without a key where one is optional', async () => {
    const ask = (): Promise<Reply<unknown>> =>
      api('POST', `/products/${productId}/inventory/adjustments`, {
        token: admin.token,
        json: { delta: 1, reason: 'test' },
      })
    expect([(await ask()).status, (await ask()).status]).to.deep.equal([201, 201])
    expect(await stock()).to.equal(102)
  })
})

describe('a request with an Idempotency-Key while Redis is away', () => {
  let world: World
  let proxy: Proxy
  let running: Running
  let api: Client
  let root: Client
  let admin: Account

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    proxy = await Proxy.before(world.config.redisUrl)
    const port = String(await freePort())
    running = await compose(
      loadConfig({ ...world.env, PORT: port, REDIS_URL: proxy.urlOf(world.config.redisUrl) }),
      world.log,
    )
    await running.start()
    root = createClient(`http://127.0.0.1:${port}`)
    api = createClient(`http://127.0.0.1:${port}/api/v1`)
    admin = await createAccount(world, 'admin')
  })
  after(async () => {
    await proxy.restore()
    await running.stop()
    await proxy.cut()
    await world.close()
  })

  const adjust = (productId: string, key: string) =>
    api('POST', `/products/${productId}/inventory/adjustments`, {
      token: admin.token,
      json: { delta: 1, reason: 'test' },
      headers: { 'idempotency-key': key },
    })
  const stockOf = async (productId: string) =>
    (await world.knex('inventory').where({ product_id: productId }).first('stock')).stock

  it('is not begun, because nobody could tell whether it was done before', async () => {
    const productId = await createProduct(world, 10)
    await proxy.cut()
    const reply = await adjust(productId, 'away')
    expectRefusal(reply, 503, 'NOT_READY')
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
    expect(await stockOf(productId)).to.equal(10)
    await proxy.restore()
    await until('all to be well', async () => (await root('GET', '/readyz')).status === 200)
    expect((await adjust(productId, 'away')).status).to.equal(201)
  })

  it('gets its answer when Redis goes while it is worked on', async () => {
    const productId = await createProduct(world, 10)
    const lock = await world.knex.transaction()
    await lock('inventory').where({ product_id: productId }).forUpdate().select()
    const asked = adjust(productId, 'going')
    await until('it to wait for the lock', async () => {
      const { rows } = await world.knex.raw(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length > 0
    })
    await proxy.cut()
    await lock.rollback()
    const reply = await asked
    expect(reply.status, reply.text).to.equal(201)
    expect(await stockOf(productId)).to.equal(11)
    await proxy.restore()
    await until('all to be well', async () => (await root('GET', '/readyz')).status === 200)
  })
})
