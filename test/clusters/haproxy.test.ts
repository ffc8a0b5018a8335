/** The product behind HAProxy as `proxy/haproxy.cfg` sets it up. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { errorEntry } from '../../src/http/errors.ts'
import { createApiClient } from '../../tools/lib/api-client.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { startHaproxy, type RunningProxy } from '../../tools/services/haproxy.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { buy } from '../support/buying.ts'
import { killAndWait, openFleet, playSale, tellKilled, type Fleet } from '../support/fleet.ts'
import { createClient, expectRefusal, type Client } from '../support/http.ts'
import { Proxy } from '../support/proxy.ts'
import { createStage } from '../support/stage.ts'
import { openStream } from '../support/streams.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const UNITS = 60
/** Of the configuration: purchases that an API process is given at a time, and those that wait for it. */
const LET_IN = 64
const WAITING = 150
/** It asks an API process every second, and believes the second answer. */
const CHECKED_WITHIN_MS = 3_000

describe('behind HAProxy', function () {
  this.timeout(240_000)
  let world: World
  let fleet: Fleet
  let proxy: RunningProxy | undefined
  let url: string
  let api: Client
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off', TRUST_PROXY: 'on' })
    fleet = await openFleet(world, { apis: 1, workers: 1 })
    proxy = await startHaproxy(`http://127.0.0.1:${theApi().port}`, process.env, () => undefined)
    url = proxy.url
    api = createClient(`${url}/api/v1`)
  })
  after(async () => {
    await proxy?.stop()
    await fleet.close()
    await world.close()
  })

  function theApi() {
    const [first] = fleet.apis
    if (first === undefined) throw new Error('a fleet has an API')
    return first
  }

  it('a sale loses nothing when the API is killed', async () => {
    const eventId = await createSale(world, { stock: UNITS, paymentWindowS: 3 })
    const client = createApiClient(url, 64)
    let backAfter = 0
    const played = await playSale(
      world,
      { shop: client.shop },
      { eventId, units: UNITS, buyers: 200 },
      async () => {
        backAfter = await killAndWait(theApi())
      },
    )
    client.close()
    tellKilled(`the API behind HAProxy (SIGKILL, back after ${backAfter} ms)`, played)
    expect(played.judgement.broken).to.deep.equal([])
  })

  it('whoever is not let in is refused as the API refuses', async () => {
    const eventId = await createSale(world, { stock: 1_000 })
    const buyers = await createBuyers(world, LET_IN + WAITING + 20)
    theApi().pause()
    const asked = buyers.map(({ access_token: token }, i) =>
      api('POST', `/spike-events/${eventId}/orders`, {
        token,
        headers: { 'x-request-id': `request-${i}`, ...(i % 2 === 0 ? {} : { 'accept-language': 'zh-CN' }) },
      }),
    )
    const refused = await firstOf(asked, WAITING + 20)
    theApi().resume()
    const { status, n, en, zh, retryAfterS } = errorEntry('OVERLOADED')
    for (const [i, reply] of refused) {
      expect(reply.status).to.equal(status)
      expect(reply.headers.get('content-type')).to.equal('application/json; charset=utf-8')
      expect(reply.headers.get('retry-after')).to.equal(String(retryAfterS))
      expect(reply.headers.get('x-request-id')).to.equal(`request-${i}`)
      expect(reply.body).to.deep.equal({
        code: status * 100 + n,
        error: 'OVERLOADED',
        message: i % 2 === 0 ? en : zh,
        request_id: `request-${i}`,
      })
    }
    const replies = await Promise.all(asked)
    expect(replies.filter((reply) => reply.status === 202)).to.have.length(LET_IN)
  })

  it('a stream comes as it is written', async () => {
    const eventId = await createSale(world, { stock: 1 })
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    const [workers] = fleet.workers
    workers?.pause()
    const reply = await buy(api, eventId, buyer)
    const stream = await openStream({ apiUrl: url }, reply.body.data.reservation_id, buyer)
    expect((await stream.received(1))[0]?.data.status).to.be.oneOf(['reserving', 'queued'])
    workers?.resume()
    await stream.ended
    expect(stream.events().at(-1)?.data.status).to.equal('ordered')
  })

  it('a body that trickles in keeps nobody out, and one that is too large is refused', async () => {
    const eventId = await createSale(world, { stock: 1 })
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    const { hostname, port } = new URL(url)
    const sockets = Array.from({ length: LET_IN + WAITING }, () => connect(Number(port), hostname))
    try {
      const head = `POST /api/v1/spike-events/${eventId}/orders HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\n{`
      await Promise.all(
        sockets.map(async (socket) => {
          await once(socket, 'connect')
          socket.write(head)
        }),
      )
      expect((await buy(api, eventId, buyer)).status).to.equal(202)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
    const raw = JSON.stringify({ quantity: 1, more: 'x'.repeat(20_000) })
    const large = await api('POST', `/spike-events/${eventId}/orders`, { token: buyer.access_token, raw })
    expectRefusal(large, 413, 'PAYLOAD_TOO_LARGE')
  })

  it('an id that a client made up is not repeated', async () => {
    const raw = JSON.stringify({ email: 'x'.repeat(20_000) })
    const reply = await api('POST', '/auth/login', { raw, headers: { 'x-request-id': 'harmless-id, x"}' } })
    expectRefusal(reply, 413, 'PAYLOAD_TOO_LARGE')
    expect(reply.headers.get('x-request-id')).to.match(/^[0-9a-f-]{36}$/)
  })

  it('it sells while PostgreSQL is away', async () => {
    const other = await createWorld({ RATE_LIMIT: 'off', TRUST_PROXY: 'on' })
    const eventId = await createSale(other, { stock: 1 })
    const [buyer] = (await createBuyers(other, 1)) as [LoadBuyer]
    const postgres = await Proxy.before(other.config.databaseUrl)
    const stage = createStage({
      ...other,
      env: { ...other.env, DATABASE_URL: postgres.urlOf(other.config.databaseUrl) },
    })
    let before: RunningProxy | undefined
    try {
      await stage.start('api')
      before = await startHaproxy(other.apiUrl, process.env, () => undefined)
      const root = createClient(before.url)
      await postgres.cut()
      await until('the API to miss it', async () => (await root('GET', '/readyz')).status === 503)
      await sleep(CHECKED_WITHIN_MS)
      expect((await buy(createClient(`${before.url}/api/v1`), eventId, buyer)).status).to.equal(202)
    } finally {
      await before?.stop()
      await stage.close()
      await postgres.cut()
      await other.close()
    }
  })

  it('a client says nothing about its address that is believed', async () => {
    const limited = await createWorld({ TRUST_PROXY: 'on' })
    let before: RunningProxy | undefined
    try {
      await limited.start('api')
      before = await startHaproxy(limited.apiUrl, process.env, () => undefined)
      const login = { email: 'nobody@shop.test', password: 'wrong password' }
      const headers = { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9' }
      await createClient(`${before.url}/api/v1`)('POST', '/auth/login', { json: login, headers })
      const keyOf = (address: string) => `${limited.config.namespace}:limit:login-address:${address}`
      expect(await limited.redis.exists(keyOf('127.0.0.1'))).to.equal(1)
      expect(await limited.redis.exists(keyOf('203.0.113.9'))).to.equal(0)
    } finally {
      await before?.stop()
      await limited.close()
    }
  })
})

/** The first of these that resolve, with their places. */
async function firstOf<T>(promises: readonly Promise<T>[], count: number): Promise<[number, T][]> {
  const found: [number, T][] = []
  return new Promise((resolve, reject) => {
    for (const [i, promise] of promises.entries())
      promise.then((value) => {
        if (found.push([i, value]) === count) resolve(found.slice())
      }, reject)
  })
}
