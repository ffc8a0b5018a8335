import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { compose } from '../../../src/compose.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { freePort } from '../../../tools/lib/set-up.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** What the headers tell: name and size of the window, what is left, seconds to its end. */
function windowOf(reply: Reply<unknown>) {
  const policy = /^"(\w+)";q=(\d+);w=(\d+)$/.exec(reply.headers.get('ratelimit-policy') ?? '')
  const state = /^"(\w+)";r=(\d+);t=(\d+)$/.exec(reply.headers.get('ratelimit') ?? '')
  if (policy === null || state === null) return undefined
  expect(state[1], 'names').to.equal(policy[1])
  return {
    name: policy[1],
    points: Number(policy[2]),
    seconds: Number(policy[3]),
    left: Number(state[2]),
    resetS: Number(state[3]),
  }
}

function expectLimited(reply: Reply<unknown>): void {
  expectRefusal(reply, 429, 'RATE_LIMITED')
  const window = windowOf(reply)
  expect(window?.left).to.equal(0)
  expect(Number(reply.headers.get('retry-after'))).to.equal(window?.resetS)
}

describe('the windows that requests are counted in', () => {
  let world: World
  let api: Client
  let other: Running
  let otherApi: Client

  before(async () => {
    world = await createWorld({ TRUST_PROXY: 'on' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    const port = String(await freePort())
    other = await compose(loadConfig({ ...world.env, PORT: port }), world.log)
    await other.start()
    otherApi = createClient(`http://127.0.0.1:${port}/api/v1`)
  })
  after(async () => {
    await other.stop()
    await world.close()
  })

  let addresses = 0
  /** The header of a client that nobody has heard of before. */
  const from = (address = `203.0.113.${(addresses += 1)}`) => ({ 'x-forwarded-for': address })
  const read = (headers: Record<string, string>, token?: string) =>
    api('GET', '/products', { headers, token })
  const register = (headers: Record<string, string>, path = '/auth/register') =>
    api('POST', path, { json: { email: 'no e-mail' }, headers })
  const counted = async (name: string) =>
    Number(await world.redis.get(`${world.config.namespace}:limit:${name}`))

  it('are told with every answer, refusals too', async () => {
    const headers = from()
    const first = await read(headers)
    expect(windowOf(first)).to.deep.equal({
      name: 'read',
      points: 3_000,
      seconds: 10,
      left: 2_999,
      resetS: 10,
    })
    expect(windowOf(await read(headers))?.left).to.equal(2_998)
    const refused = await register(headers)
    expectRefusal(refused, 400, 'VALIDATION_FAILED')
    expect(windowOf(refused)).to.include({ name: 'login', points: 30, seconds: 60, left: 29 })
    const anonymous = await api('POST', '/orders', { json: {}, headers })
    expectRefusal(anonymous, 401, 'UNAUTHENTICATED')
    expect(windowOf(anonymous)).to.include({ name: 'write', points: 600, seconds: 60, left: 599 })
  })

  it('tell the tighter one when a request is counted in two', async () => {
    const [buyer] = await createBuyers(world, 1)
    const reply = await api('GET', '/users/me', { token: buyer?.access_token, headers: from() })
    expect(windowOf(reply)).to.include({ name: 'read', points: 300, seconds: 10, left: 299 })
  })

  it('are not there where nothing is limited', async () => {
    const root = createClient(world.apiUrl)
    expect(windowOf(await root('GET', '/healthz'))).to.equal(undefined)
    expect(windowOf(await root('GET', '/nothing'))).to.equal(undefined)
  })

  it('hold one buyer to 20 purchases in 10 s, and nobody else; what is used up costs Redis nothing', async () => {
    const eventId = await createSale(world)
    const [buyer, neighbour] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
    const replies = []
    for (let i = 0; i < 25; i++) replies.push(await buy(api, eventId, buyer))
    expect(replies.slice(0, 20).map((reply) => reply.status)).to.not.include(429)
    expect(replies.slice(0, 20).map((reply) => windowOf(reply)?.left)).to.deep.equal(
      Array.from({ length: 20 }, (_, i) => 19 - i),
    )
    for (const reply of replies.slice(20)) expectLimited(reply)
    expect(await counted(`purchase-user:${buyer.user_id}`)).to.equal(20)
    expect((await buy(api, eventId, neighbour)).status).to.equal(202)
    expect(await world.redis.hlen(`{spike:${eventId}}:holders`)).to.equal(2)
    // The other processes know as well, and a reading buyer is none who buys.
    expectLimited(await buy(otherApi, eventId, buyer))
    expect((await otherApi('GET', '/users/me', { token: buyer.access_token })).status).to.equal(200)
  })

  it('end not before they say', async () => {
    const headers = from()
    for (let i = 0; i < 30; i++) await register(headers)
    const limited = await register(headers)
    expectLimited(limited)
    const key = `${world.config.namespace}:limit:login-address:${headers['x-forwarded-for']}`
    expect(Number(limited.headers.get('retry-after')) * 1_000).to.be.at.least(await world.redis.pttl(key))
  })

  it('are shared by all processes', async () => {
    const headers = from()
    const lefts = []
    for (const client of [api, otherApi, api, otherApi])
      lefts.push(windowOf(await client('GET', '/products', { headers }))?.left)
    expect(lefts).to.deep.equal([2_999, 2_998, 2_997, 2_996])
  })

  it('are the same for all that one customer of a provider can call his address', async () => {
    const sameNet = ['2001:db8:7:1::1', '2001:DB8:7:1::2', '2001:db8:7:1:ffff:ffff:ffff:ffff']
    for (let i = 0; i < 30; i++) await register(from(sameNet[i % 3]))
    expectLimited(await register(from('2001:db8:7:1:1234::9')))
    expectRefusal(await register(from('2001:db8:7:2::1')), 400, 'VALIDATION_FAILED')

    await register(from('198.51.100.7'))
    expect(windowOf(await register(from('::ffff:198.51.100.7')))?.left).to.equal(28)
    expect(windowOf(await register(from('203.0.113.99, 198.51.100.7')))?.left).to.equal(27)
  })

  it('are the same however the path is written', async () => {
    const headers = from()
    const paths = [
      '/auth/register',
      '/auth/register/',
      '/AUTH/Register',
      '/auth/register?x=1',
      '/auth/%72egister',
    ]
    const lefts = []
    for (const path of paths) {
      const reply = await register(headers, path)
      if (reply.status !== 404) lefts.push(windowOf(reply)?.left)
    }
    expect(lefts.length).to.be.at.least(2)
    expect(lefts).to.deep.equal(lefts.map((_, i) => 29 - i))
  })

  it('are those of the proxy for what is no address', async () => {
    const before = await counted('read-address:127.0.0.1')
    for (const junk of ['unknown', '{*}', '127.0.0.1:*', 'x'.repeat(5_000)]) await read(from(junk))
    expect(await counted('read-address:127.0.0.1')).to.equal(before + 4)
    for (const key of await world.redis.keys(`${world.config.namespace}:limit:*`))
      expect(key).to.match(/:[\w.:/-]{3,60}$/)
  })
})

describe('the windows while Redis is away', () => {
  let world: World
  let proxy: Proxy
  let running: Running
  let api: Client
  let root: Client
  let buyer: LoadBuyer

  before(async () => {
    world = await createWorld()
    proxy = await Proxy.before(world.config.redisUrl)
    const port = String(await freePort())
    const env = { ...world.env, PORT: port, REDIS_URL: proxy.urlOf(world.config.redisUrl) }
    running = await compose(loadConfig(env), world.log)
    await running.start()
    root = createClient(`http://127.0.0.1:${port}`)
    api = createClient(`http://127.0.0.1:${port}/api/v1`)
    ;[buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
  })
  after(async () => {
    await proxy.restore()
    await running.stop()
    await proxy.cut()
    await world.close()
  })

  it('are counted by each process, and refuse logins', async () => {
    await proxy.cut()
    const eventId = '01890000-0000-7000-8000-000000000000'
    const tries = await Promise.all(Array.from({ length: 25 }, () => buy(api, eventId, buyer)))
    const limited = tries.filter((reply) => reply.status === 429)
    expect(limited).to.have.length(5)
    limited.forEach(expectLimited)
    for (const reply of tries) if (reply.status !== 429) expectRefusal(reply, 503, 'NOT_READY')
    const me = await api('GET', '/users/me', { token: buyer.access_token })
    expect([me.status, windowOf(me)?.points]).to.deep.equal([200, 300])
    const login = await api('POST', '/auth/login', {
      json: { email: buyer.email, password: 'wrong password' },
    })
    expectRefusal(login, 503, 'NOT_READY')
    expect(Number(login.headers.get('retry-after'))).to.be.within(1, 60)
    await proxy.restore()
    await until('all to be well', async () => (await root('GET', '/readyz')).status === 200)
  })

  it('make requests wait once for a silent Redis, not each of them', async () => {
    proxy.fallSilent()
    try {
      expect((await api('GET', '/users/me', { token: buyer.access_token })).status).to.equal(200)
      const began = performance.now()
      for (let i = 0; i < 20; i++)
        expect((await api('GET', '/users/me', { token: buyer.access_token })).status).to.equal(200)
      expect(performance.now() - began).to.be.below(900)
    } finally {
      await proxy.cut()
      await proxy.restore()
    }
  })
})

describe('RATE_LIMIT=off', () => {
  it('counts nothing and says nothing', async () => {
    const world = await createWorld({ RATE_LIMIT: 'off' })
    try {
      await world.start('api')
      const reply = await createClient(`${world.apiUrl}/api/v1`)('GET', '/products')
      expect([reply.status, windowOf(reply)]).to.deep.equal([200, undefined])
      expect(await world.redis.keys(`${world.config.namespace}:limit:*`)).to.deep.equal([])
    } finally {
      await world.close()
    }
  })
})
