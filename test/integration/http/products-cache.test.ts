import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { compose } from '../../../src/compose.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { freePort } from '../../../tools/lib/set-up.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

interface Product {
  id: string
  name: string
  version: number
}

describe('reading one product', () => {
  let world: World
  let token: string
  /** Two API processes; the second has a Redis that can be taken away from it. */
  let one: Client
  let two: Client
  let second: Running
  let proxy: Proxy

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    one = createClient(`${world.apiUrl}/api/v1`)
    const url = world.env.REDIS_URL ?? ''
    proxy = await Proxy.before(url)
    const PORT = String(await freePort())
    second = await compose(loadConfig({ ...world.env, REDIS_URL: proxy.urlOf(url), PORT }), world.log)
    await second.start()
    two = createClient(`http://127.0.0.1:${PORT}/api/v1`)
    token = (await createAccount(world, 'admin')).token
  })
  after(async () => {
    await proxy.restore()
    await second.stop()
    await proxy.cut()
    await world.close()
  })

  async function make(): Promise<Product> {
    const json = { sku: randomUUID(), name: 'Thing', price: 500 }
    const reply = await one<Product>('POST', '/products', { token, json })
    expect(reply.status, reply.text).to.equal(201)
    return reply.body.data
  }
  const rename = (api: Client, { id, version }: Product, name: string) =>
    api<Product>('PATCH', `/products/${id}`, {
      token,
      json: { name },
      headers: { 'if-match': `"${version}"` },
    })
  const read = async (api: Client, id: string): Promise<Product> => {
    const reply = await api<Product>('GET', `/products/${id}`)
    expect(reply.status, reply.text).to.equal(200)
    return reply.body.data
  }
  const keyOf = (id: string): string => `${world.config.namespace}:cache:product:${id}`

  it('is served from Redis', async () => {
    const { id } = await make()
    await world.knex('products').where({ id }).update({ name: 'Changed behind the cache' })
    expect(await read(one, id)).to.include({ name: 'Thing' })
    await world.redis.unlink(keyOf(id))
    expect(await read(one, id)).to.include({ name: 'Changed behind the cache' })
    expect(await world.redis.pttl(keyOf(id))).to.be.within(1, 30_000)
  })

  it('shows every change to every process at once', async () => {
    let product = await make()
    for (let i = 0; i < 10; i++) {
      const [writer, reader] = i % 2 ? [one, two] : [two, one]
      const reply = await rename(writer, product, `Name ${i}`)
      expect(reply.status, reply.text).to.equal(200)
      product = reply.body.data
      expect(await read(reader, product.id)).to.deep.equal(product)
    }
    const headers = { 'if-match': '*' }
    expect((await one('DELETE', `/products/${product.id}`, { token, headers })).status).to.equal(204)
    for (const api of [one, two]) expectRefusal(await api('GET', `/products/${product.id}`), 404, 'NOT_FOUND')
  })

  it('never goes back in time while others change it', async () => {
    const made = await make()
    await world.redis.unlink(keyOf(made.id))
    const watch = async (api: Client): Promise<void> => {
      for (let last = 0; last < 41;) {
        const { version } = await read(api, made.id)
        expect(version).to.be.at.least(last)
        last = version
      }
    }
    const change = async (): Promise<void> => {
      for (let version = 1; version <= 40; version++)
        await rename(version % 2 ? one : two, { ...made, version }, `v${version}`)
    }
    await Promise.all([watch(one), watch(two), watch(one), watch(two), change()])
    for (const api of [one, two]) expect(await read(api, made.id)).to.include({ version: 41, name: 'v40' })
  })

  it('keeps nothing of ids that were guessed', async () => {
    const ids = Array.from({ length: 20 }, () => randomUUID())
    for (const id of ids) expectRefusal(await one('GET', `/products/${id}`), 404, 'NOT_FOUND')
    expect(await world.redis.exists(...ids.map(keyOf))).to.equal(0)
  })

  it('is counted by how the cache answered', async () => {
    const root = createClient(world.apiUrl)
    const counted = async (): Promise<Record<string, number>> => {
      const { text } = await root('GET', '/metrics')
      const lines = text.matchAll(/^spike_cache_lookups_total\{cache="product",result="(\w+)"\} (\d+)$/gm)
      return { hit: 0, miss: 0, ...Object.fromEntries([...lines].map(([, name, n]) => [name, Number(n)])) }
    }
    const { id } = await make()
    const before = await counted()
    for (let i = 0; i < 3; i++) await read(one, id)
    await one('GET', `/products/${randomUUID()}`)
    const { hit = 0, miss = 0 } = before
    expect(await counted()).to.deep.equal({ ...before, hit: hit + 3, miss: miss + 1 })
  })

  for (const [how, away] of [
    ['is gone', () => proxy.cut()],
    ['is silent', async () => proxy.fallSilent()],
  ] as const)
    it(`goes on while Redis ${how}, and so do changes`, async () => {
      const product = await make()
      expect(await read(two, product.id)).to.deep.equal(product)
      await away()
      for (let i = 0; i < 5; i++) expect(await read(two, product.id)).to.deep.equal(product)
      const renamed = await rename(two, product, 'Renamed without Redis')
      expect(renamed.status, renamed.text).to.equal(200)
      expect(await read(two, product.id)).to.deep.equal(renamed.body.data)
      expectRefusal(await two('GET', `/products/${randomUUID()}`), 404, 'NOT_FOUND')
      const ifNoneMatch = { headers: { 'if-none-match': '"2"' } }
      expect((await two('GET', `/products/${product.id}`, ifNoneMatch)).status).to.equal(304)
      await proxy.restore()
      const other = await make()
      await until('the cache to be used again', async () => {
        await read(two, other.id)
        await world.redis.unlink(keyOf(other.id))
        await read(two, other.id)
        return (await world.redis.exists(keyOf(other.id))) === 1
      })
    })
})
