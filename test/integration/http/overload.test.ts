import { once } from 'node:events'
import type { Socket } from 'node:net'
import { expect } from 'chai'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import type { Knex } from 'knex'
import { errorEntry } from '../../../src/http/errors.ts'
import { newRid } from '../../support/rids.ts'
import { createAccount, createBuyers, type Account } from '../../factories/accounts.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { openSocket, repliesOf } from '../../support/sockets.ts'
import { openStream } from '../../support/streams.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const LIMIT = 5
const ORIGIN = 'https://shop.example'

describe('an API with more requests than it may have in hand', () => {
  let world: World
  let root: Client
  let api: Client
  let admin: Account
  let productId: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off', MAX_IN_FLIGHT: String(LIMIT), CORS_ORIGINS: ORIGIN })
    await world.start('api')
    root = createClient(world.apiUrl)
    api = createClient(`${world.apiUrl}/api/v1`)
    admin = await createAccount(world, 'admin')
    productId = await createProduct(world, 100)
  })
  after(() => world.close())

  const adjust = () =>
    api('POST', `/products/${productId}/inventory/adjustments`, {
      token: admin.token,
      json: { delta: 1, reason: 'test' },
      headers: { origin: ORIGIN },
    })
  async function stock(): Promise<number> {
    return (await world.knex('inventory').where({ product_id: productId }).first('stock')).stock
  }
  async function inFlight(): Promise<number> {
    const { text } = await root('GET', '/metrics')
    return Number(/^http_requests_in_flight (\d+)$/m.exec(text)?.[1])
  }
  async function shed(): Promise<number> {
    const { text } = await root('GET', '/metrics')
    return Number(/^http_requests_shed_total (\d+)$/m.exec(text)?.[1])
  }

  /** Sees all places taken by those who wait for the lock; asking for the metrics would take one. */
  const allWait = () =>
    until('all places to be taken', async () => {
      const { rows } = await world.knex.raw(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length === LIMIT
    })
  /** Sends the head of a request, and returns when the API waits for its body. */
  async function beginBody(path: string, length: number, headers: string[]): Promise<Socket> {
    const socket = await openSocket(world.apiUrl)
    const head = [
      `POST ${path} HTTP/1.1`,
      'Host: x',
      'Content-Type: application/json',
      `Content-Length: ${length}`,
      'Expect: 100-continue',
      ...headers,
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    await once(socket, 'data')
    await until('the body to be waited for', async () => (await inFlight()) === 1)
    return socket
  }

  it('refuses the excess at once, answers probes, finishes what it has begun, and recovers', async () => {
    const shedBefore = await shed()
    const lock = await world.knex.transaction()
    await lock('inventory').where({ product_id: productId }).forUpdate().select()
    const held = Array.from({ length: LIMIT }, adjust)
    await allWait()

    const began = performance.now()
    const refused = await Promise.all(Array.from({ length: 7 }, adjust))
    expect(performance.now() - began, 'milliseconds for refusals').to.be.below(1_000)
    for (const reply of refused) {
      expectRefusal(reply, 503, 'OVERLOADED')
      expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
      expect(reply.headers.get('access-control-allow-origin')).to.equal(ORIGIN)
    }
    expectRefusal(await root('GET', '/nothing'), 503, 'OVERLOADED')
    expect((await root('GET', '/healthz')).status).to.equal(200)
    expect((await root('GET', '/readyz')).status).to.equal(200)
    expect((await shed()) - shedBefore).to.equal(8)

    await lock.rollback()
    for (const reply of await Promise.all(held)) expect(reply.status, reply.text).to.equal(201)
    expect(await stock()).to.equal(100 + LIMIT)
    expect((await adjust()).status).to.equal(201)
  })

  describe('answers what it refuses before it has looked at it', () => {
    let lock: Knex.Transaction
    let held: Promise<unknown>[]

    beforeEach(async () => {
      lock = await world.knex.transaction()
      await lock('inventory').where({ product_id: productId }).forUpdate().select()
      held = Array.from({ length: LIMIT }, adjust)
      await allWait()
    })
    afterEach(async () => {
      await lock.rollback()
      await Promise.all(held)
    })

    const OWN = ['content-length', 'date', 'retry-after', 'x-request-id']
    const common = (headers: Headers) => [...headers].filter(([name]) => !OWN.includes(name))

    for (const headers of [
      {},
      { origin: ORIGIN },
      { origin: 'https://other.example' },
      { 'accept-language': 'zh-CN,zh;q=0.9' },
      { 'accept-language': 'fr, en;q=0.5' },
      { 'x-request-id': 'my-own-request' },
      { 'x-request-id': 'no' },
    ] as Record<string, string>[])
      it(`as everything else, header by header: ${JSON.stringify(headers)}`, async () => {
        const refused = await root('GET', '/nothing', { headers })
        const known = await root('GET', '/healthz', { headers })
        await lock.rollback()
        await Promise.all(held)
        const missing = await root('GET', '/nothing', { headers })
        expectRefusal(refused, 503, 'OVERLOADED')
        expectRefusal(missing, 404, 'NOT_FOUND')
        expect(known.status).to.equal(200)
        expect(common(refused.headers)).to.deep.equal(common(missing.headers))
        expect(Object.keys(refused.body)).to.deep.equal(Object.keys(missing.body))
        expect(refused.headers.get('retry-after')).to.equal('1')
        expect(Number(refused.headers.get('content-length'))).to.equal(Buffer.byteLength(refused.text))
        if (headers['x-request-id'] === 'my-own-request')
          expect(refused.body.request_id).to.equal('my-own-request')
        const { en, zh } = errorEntry('OVERLOADED')
        expect(refused.body.message).to.equal(headers['accept-language']?.startsWith('zh') ? zh : en)
      })

    it('counts each, as requests and as shed', async () => {
      const refusals = async () => {
        const { text } = await root('GET', '/metrics')
        return Number(
          /^http_requests_total\{method="GET",route="none",status="503"\} (\d+)$/m.exec(text)?.[1] ?? 0,
        )
      }
      const before = { shed: await shed(), refusals: await refusals() }
      await Promise.all(Array.from({ length: 20 }, () => api('GET', '/products')))
      expect(await shed()).to.equal(before.shed + 20)
      expect(await refusals()).to.equal(before.refusals + 20)
    })

    it('without reading the body, and goes on with the connection', async () => {
      const socket = await openSocket(world.apiUrl)
      const body = 'x'.repeat(10_000)
      socket.write(
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}` +
          'HEAD /api/v1/products HTTP/1.1\r\nHost: x\r\n\r\n' +
          'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
      )
      let text = ''
      for await (const chunk of socket) text += String(chunk)
      expect(text.match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 503', 'HTTP/1.1 503', 'HTTP/1.1 200'])
      expect(text.match(/"error":"OVERLOADED"/g), 'a HEAD has no body').to.have.length(1)
    })

    it('lets preflights past', async () => {
      const preflight = await api('OPTIONS', '/products', {
        headers: { origin: ORIGIN, 'access-control-request-method': 'GET' },
      })
      expect(preflight.status).to.equal(204)
      expect(preflight.headers.get('access-control-allow-origin')).to.equal(ORIGIN)
    })
  })

  it('has its places back whatever becomes of requests', async () => {
    for (let round = 0; round < 3; round++)
      await Promise.all([
        api('GET', '/products'),
        api('GET', '/nothing'),
        api('POST', '/auth/login', { raw: '{' }),
        api('POST', '/auth/login', { raw: 'x', headers: { 'content-type': 'text/plain' } }),
        api('GET', '/users/me'),
      ])
    const gone = await openSocket(world.apiUrl)
    gone.end('GET /api/v1/products HTTP/1.1\r\nHost: x\r\n\r\n')
    gone.destroy()
    await until('nothing to be in hand', async () => (await inFlight()) <= 1)
  })

  it('gives no place to those whose body has not come yet', async () => {
    const slow = await Promise.all(Array.from({ length: LIMIT * 2 }, () => openSocket(world.apiUrl)))
    for (const socket of slow)
      socket.write(
        'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"email":',
      )
    for (let i = 0; i < 10; i++) expect((await api('GET', '/products')).status).to.equal(200)
    for (const socket of slow) socket.destroy()
    await until('nothing to be in hand', async () => (await inFlight()) <= 1)
  })

  it('has no place for those whose bodies come all at once after it has filled up', async () => {
    const lock = await world.knex.transaction()
    await lock('inventory').where({ product_id: productId }).forUpdate().select()
    const before = await stock()
    const json = JSON.stringify({ delta: 1, reason: 'test' })
    const slow: Socket[] = []
    for (let i = 0; i < LIMIT * 4; i++)
      slow.push(
        await beginBody(`/api/v1/products/${productId}/inventory/adjustments`, json.length, [
          `Authorization: Bearer ${admin.token}`,
          'Connection: close',
        ]),
      )
    const statuses: (number | undefined)[] = []
    const answered = slow.map(async (socket) => statuses.push((await repliesOf(socket)).at(-1)?.status))
    for (const socket of slow) socket.write(json)
    await allWait()
    await until('the others to be refused', () => statuses.length === LIMIT * 3)
    await lock.rollback()
    await Promise.all(answered)
    expect(statuses.filter((status) => status === 503)).to.have.length(LIMIT * 3)
    expect(statuses.filter((status) => status === 201)).to.have.length(LIMIT)
    expect(await stock()).to.equal(before + LIMIT)
    await until('nothing to be in hand', async () => (await inFlight()) === 1)
  })

  it('lets nobody in who only says that he probes, and counts nobody out who was not in', async () => {
    const lock = await world.knex.transaction()
    await lock('inventory').where({ product_id: productId }).forUpdate().select()
    const held = Array.from({ length: LIMIT }, adjust)
    await allWait()
    const head = 'POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100'
    for (let i = 0; i < LIMIT; i++) {
      const socket = await openSocket(world.apiUrl)
      socket.write(`${head}\r\n\r\n{"a":`)
      const [answer] = await once(socket, 'data')
      expect(String(answer)).to.match(/^HTTP\/1\.1 503 .*"error":"OVERLOADED"/s)
      socket.destroy()
    }
    expect(await inFlight()).to.equal(LIMIT)
    expect((await root('HEAD', '/healthz')).status).to.equal(200)
    await lock.rollback()
    for (const reply of await Promise.all(held)) expect(reply.status, reply.text).to.equal(201)
    await until('nothing to be in hand', async () => (await inFlight()) === 1)
  })

  it('counts nobody twice whose client goes in the middle of a body, packed or not', async () => {
    for (const more of [[], ['Content-Encoding: gzip']])
      for (let i = 0; i < LIMIT * 2; i++) {
        const socket = await beginBody('/api/v1/auth/login', 9, more)
        socket.end('{')
        socket.destroy()
      }
    for (let i = 0; i < 10; i++) expect((await api('GET', '/products')).status).to.equal(200)
    expect(await inFlight()).to.equal(1)
  })

  it('gives no place to streams that are set up', async () => {
    const eventId = await createSale(world)
    const buyers = await createBuyers(world, LIMIT * 2)
    const streams = []
    for (const buyer of buyers) {
      const rid = newRid(eventId)
      await world.scripts.reserve({ eventId, rid, userId: buyer.user_id, quantity: 1, requestId: 'test' })
      streams.push(await openStream(world, rid, buyer))
    }
    expect((await api('GET', '/products')).status).to.equal(200)
    for (const stream of streams) stream.leave()
  })
})
