import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { newRid } from '../../../src/reserve/rid.ts'
import { createAccount, createBuyers, type Account } from '../../factories/accounts.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { openSocket } from '../../support/sockets.ts'
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

  it('refuses the excess at once, answers probes, finishes what it has begun, and recovers', async () => {
    const shedBefore = await shed()
    const lock = await world.knex.transaction()
    await lock('inventory').where({ product_id: productId }).forUpdate().select()
    const held = Array.from({ length: LIMIT }, adjust)
    await until('all places to be taken', async () => (await inFlight()) >= LIMIT)

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
