import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { compose } from '../../../src/compose.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { freePort } from '../../../tools/lib/set-up.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { newEmail } from '../../support/sessions.ts'
import { expectLimited, windowOf } from '../../support/windows.ts'
import { createWorld, type World } from '../../support/world.ts'

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
    expect(replies.slice(0, 20).map((reply) => reply.status)).to.deep.equal([
      202,
      ...Array.from({ length: 19 }, () => 409),
    ])
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

describe('the windows of a process that trusts no proxy', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld()
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  it('stop one address after 30 tries, whatever account and whatever address it claims to have', async () => {
    const login = (email: string, password: string, headers: Record<string, string> = {}) =>
      api('POST', '/auth/login', { json: { email, password }, headers })
    const replies = []
    for (let i = 0; i < 31; i++)
      replies.push(await login(newEmail(), 'wrong password', { 'x-forwarded-for': `203.0.113.${i}` }))
    expect(replies.slice(0, 30).map((reply) => reply.status)).to.deep.equal(
      Array.from({ length: 30 }, () => 401),
    )
    for (const reply of replies.slice(30)) expectLimited(reply)
    const account = await createAccount(world)
    expectLimited(await login(account.email, account.password))
    const late = newEmail()
    const json = { email: late, password: 'long enough password' }
    expectLimited(await api('POST', '/auth/register', { json }))
    expect(await world.knex('users').where({ email: late })).to.deep.equal([])
    const change = { current_password: account.password, new_password: 'another password' }
    expectLimited(await api('POST', '/users/me/password', { token: account.token, json: change }))
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
