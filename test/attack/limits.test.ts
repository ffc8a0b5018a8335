import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { RateWindow } from '../../src/platform/redis/rate-window.ts'
import { LIMITS } from '../../src/http/contract/limits.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient } from '../support/attack.ts'
import { buy } from '../support/buying.ts'
import { eachOf } from '../support/flood.ts'
import { expectRefusal, type Client } from '../support/http.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks on the limits of requests', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ TRUST_PROXY: 'on' })
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const from = (address: string) => ({ 'x-forwarded-for': address })
  /** Costs a point of the class of logins, and no work. */
  const register = (address: string, path = '/auth/register') =>
    api('POST', path, { json: {}, headers: from(address) })

  async function useUp(address: string): Promise<void> {
    for (let i = 0; i < LIMITS.login.address.points; i++)
      expectRefusal(await register(address), 400, 'VALIDATION_FAILED')
    const reply = await register(address)
    expectRefusal(reply, 429, 'RATE_LIMITED')
    expect(reply.headers.get('ratelimit')).to.match(/^"login";r=0;t=\d+$/)
    expect(reply.headers.get('ratelimit-policy')).to.equal('"login";q=30;w=60')
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
  }

  attack(
    'the path written in capitals, with slashes, dots, escapes or a query: 429 or 404, no window of its own',
    async () => {
      const address = '203.0.113.1'
      await useUp(address)
      for (const path of [
        '/auth/register/',
        '/AUTH/REGISTER',
        '/Auth/Register?x=1',
        '/auth/%72egister',
        '/auth//register',
        '/auth/register;v=1',
        '/auth/register%20',
        '/auth/register%00',
        '/auth/login',
        '/auth/LOGIN/',
      ])
        expect([404, 429], path).to.include((await register(address, path)).status)
    },
  )

  attack('addresses of one /64, and IPv4 written as IPv6: one window', async () => {
    await useUp('2001:db8:9:9::1')
    for (const same of ['2001:db8:9:9::2', '2001:DB8:9:9:ffff:ffff:ffff:ffff', '2001:0db8:0009:0009:0:0:0:7'])
      expectRefusal(await register(same), 429, 'RATE_LIMITED')
    await useUp('198.51.100.20')
    for (const same of ['::ffff:198.51.100.20', '::ffff:c633:6414', '::FFFF:198.51.100.20'])
      expectRefusal(await register(same), 429, 'RATE_LIMITED')
    expectRefusal(await register('2001:db8:9:a::1'), 400, 'VALIDATION_FAILED')
  })

  attack('addresses that are none: counted as the proxy’s own', async () => {
    const counted = async () =>
      Number(await world.redis.get(`${world.config.namespace}:limit:login-address:127.0.0.1`))
    const before = await counted()
    const junk = [
      'unknown',
      '{*}',
      '127.0.0.1:*',
      '999.1.1.1',
      '::g',
      'x'.repeat(2_000),
      '0x7f.1',
      '1.2.3.4\t5',
    ]
    for (const address of junk) await register(address)
    expect(await counted()).to.equal(before + junk.length)
  })

  attack('many accounts on one address: 600 writes a minute for all of them', async () => {
    const crowd = await createBuyers(world, 20)
    const { points } = LIMITS.write.address
    const counts: Record<number, number> = {}
    const requests = Array.from({ length: points + 20 }, (_, i) => crowd[i % 20] as LoadBuyer)
    await eachOf(requests, 20, async ({ access_token: token }) => {
      const { status } = await api('POST', '/orders', { token, json: {}, headers: from('203.0.113.50') })
      counts[status] = (counts[status] ?? 0) + 1
    })
    expect(counts).to.deep.equal({ 400: points, 429: 20 })
  })

  attack('one buyer on many addresses: 20 purchases in 10 s', async () => {
    const eventId = await createSale(world)
    const [buyer, other] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
    const statuses = []
    for (let i = 0; i < 25; i++) {
      const ask = { token: buyer.access_token, json: {}, headers: from(`203.0.113.${100 + i}`) }
      statuses.push((await api('POST', `/spike-events/${eventId}/orders`, ask)).status)
    }
    expect(statuses).to.deep.equal([202, ...Array(19).fill(409), ...Array(5).fill(429)])
    expect((await buy(api, eventId, other)).status).to.equal(202)
  })

  attack(
    'a burst around the edge of a window: at most twice its points in any stretch of its length',
    async () => {
      const points = 5
      const prefix = `${world.config.namespace}:limit:edge`
      const window = new RateWindow({ redis: world.redis, prefix, points, durationS: 1, local: false })
      const allowedAt: number[] = []
      const end = Date.now() + 2_500
      while (Date.now() < end) {
        if ((await window.take('attacker')).allowed) allowedAt.push(Date.now())
        await sleep(5)
      }
      expect(allowedAt.length).to.be.within(points * 2, points * 3)
      for (const began of allowedAt)
        expect(allowedAt.filter((at) => at >= began && at < began + 1_000).length).to.be.at.most(points * 2)
    },
  )

  attack('a token of another user to spend his points: the signature is checked first', async () => {
    const eventId = await createSale(world)
    const [victim] = (await createBuyers(world, 1)) as [LoadBuyer]
    const forged = victim.access_token.slice(0, -4)
    for (let i = 0; i < 30; i++) {
      const ask = { token: forged, headers: from('203.0.113.200') }
      expectRefusal(await api('POST', `/spike-events/${eventId}/orders`, ask), 401, 'UNAUTHENTICATED')
    }
    expect((await buy(api, eventId, victim)).status).to.equal(202)
  })
})
