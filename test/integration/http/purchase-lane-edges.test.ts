import { once } from 'node:events'
import { expect } from 'chai'
import { after, afterEach, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { compose } from '../../../src/compose.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { issueToken, tokenKey } from '../../../src/users/tokens.ts'
import { freePort } from '../../../tools/lib/set-up.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { createClient } from '../../support/http.ts'
import { samplesOf } from '../../support/metrics.ts'
import { Proxy } from '../../support/proxy.ts'
import { rawRequest } from '../../support/raw-http.ts'
import { exchange, openSocket } from '../../support/sockets.ts'
import { expectSame, sendPurchase, type Answer } from '../../support/two-ways.ts'
import { until } from '../../support/wait.ts'
import { createWorld, serverUrls, type World } from '../../support/world.ts'

const ORIGIN = 'https://shop.example'
const UNUSUAL = '?x=1'
const PLACES = 2

describe('the edges of the way of a purchase', () => {
  let world: World
  let open: string
  const running: Running[] = []
  before(async () => {
    world = await createWorld()
    open = await createSale(world, { stock: 500 })
  })
  afterEach(async () => {
    for (const api of running.splice(0)) await api.stop()
  })
  after(() => world.close())

  /** Starts an API on the stores of this file. @returns its URL */
  async function start(settings: NodeJS.ProcessEnv, lines: string[] = []): Promise<string> {
    const port = String(await freePort())
    const log = createLogger('api', 'error', { write: (line) => void lines.push(line) })
    const api = await compose(loadConfig({ ...world.env, PORT: port, ...settings }), log)
    running.push(api)
    await api.start()
    return `http://127.0.0.1:${port}`
  }
  const bearer = (userId: string = uuidv7()) => {
    const user = { id: userId, role: 'user', token_version: 1 } as const
    return { Authorization: `Bearer ${issueToken(tokenKey(world.config.jwtSecret), user, 'api')}` }
  }
  /** The time to the end of a window is its own for each. */
  const timeless = (answer: Answer): Answer => ({
    ...answer,
    headers: answer.headers.map(([name, value]) => [
      name,
      name === 'Retry-After' ? 'some' : value.replace(/t=\d+$/, 't=some'),
    ]),
  })

  it('tell of the windows that purchases are counted in, as on the general way', async () => {
    const url = await start({ RATE_LIMIT: 'on', TRUST_PROXY: 'on' })
    const sent: Answer[][] = []
    for (const [n, query] of ['', UNUSUAL].entries()) {
      const from = { 'X-Forwarded-For': `203.0.113.${n + 1}` }
      const buyer = bearer()
      const answers = [
        await sendPurchase(url, open, { headers: from }, query),
        await sendPurchase(url, open, { headers: from, body: '{' }, query),
      ]
      for (let i = 0; i < 22; i++)
        answers.push(await sendPurchase(url, open, { headers: { ...from, ...buyer } }, query))
      await world.redis.set(
        `${world.config.namespace}:limit:purchase-address:203.0.113.${n + 1}`,
        2_000,
        'PX',
        9_000,
      )
      answers.push(await sendPurchase(url, open, { headers: { ...from, ...bearer() } }, query))
      sent.push(answers)
    }
    const [usual = [], general = []] = sent
    for (const [i, answer] of usual.entries()) expectSame(timeless(answer), timeless(general[i] ?? answer))
    expect(usual.map(({ status }) => status)).to.deep.equal([
      401,
      400,
      202,
      ...Array.from({ length: 19 }, () => 409),
      429,
      429,
      429,
    ])
  })

  it('refuse the excess, read or not, and serve on the same connection afterwards', async () => {
    const url = await start({ RATE_LIMIT: 'off', MAX_IN_FLIGHT: String(PLACES), CORS_ORIGINS: ORIGIN })
    const admin = await createAccount(world, 'admin')
    const productId = await createProduct(world, 100)
    const api = createClient(`${url}/api/v1`)
    const lock = await world.knex.transaction()
    await lock('inventory').where({ product_id: productId }).forUpdate().select()
    const held = Array.from({ length: PLACES }, () =>
      api('POST', `/products/${productId}/inventory/adjustments`, {
        token: admin.token,
        json: { delta: 1, reason: 'test' },
      }),
    )
    await until('all places to be taken', async () => {
      const { rows } = await world.knex.raw(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length === PLACES
    })
    for (const purchase of [{}, { body: '{"quantity":1}' }, { headers: { Origin: ORIGIN } }])
      for (const query of ['', UNUSUAL]) {
        const { status, body } = await sendPurchase(url, open, purchase, query)
        expect([status, body.error]).to.deep.equal([503, 'OVERLOADED'])
      }
    const line = `POST /api/v1/spike-events/${open}/orders HTTP/1.1`
    const body = '{"quantity":1}'
    const refused = rawRequest(
      line,
      ['Content-Type: application/json', `Content-Length: ${body.length}`],
      body,
    )
    const last = rawRequest('GET /healthz HTTP/1.1', ['Connection: close'])
    const replies = await exchange(url, refused + refused + last)
    expect(replies.map(({ status }) => status)).to.deep.equal([503, 503, 200])
    await lock.rollback()
    for (const reply of await Promise.all(held)) expect(reply.status, reply.text).to.equal(201)
    expect((await samplesOf(url)).get('http_requests_shed_total')).to.equal(8)
    expect((await sendPurchase(url, open, { headers: bearer() })).status).to.equal(202)
  })

  it('say NOT_READY while Redis is away, and log it once', async () => {
    const proxy = await Proxy.before(serverUrls().REDIS_URL)
    const lines: string[] = []
    const url = await start({ RATE_LIMIT: 'off', REDIS_URL: proxy.urlOf(serverUrls().REDIS_URL) }, lines)
    try {
      await proxy.cut()
      const ask = async (query = '') => {
        const answer = await sendPurchase(url, open, { headers: bearer() }, query)
        const logged = lines.filter((line) => line.includes(String(answer.body.request_id)))
        expect(logged.map((line) => JSON.parse(line).msg)).to.deep.equal(['request failed'])
        return answer
      }
      const [usual, general] = [await ask(), await ask(UNUSUAL)]
      expectSame(usual, general)
      expect([usual.status, usual.body.error]).to.deep.equal([503, 'NOT_READY'])
    } finally {
      await proxy.restore()
      await Promise.all(running.splice(0).map((api) => api.stop()))
      await proxy.cut()
    }
  })

  describe('of HTTP', () => {
    let url: string
    const path = () => `/api/v1/spike-events/${open}/orders`
    const auth = () => `Authorization: ${bearer().Authorization}`
    before(async () => {
      await world.start('api')
      url = world.apiUrl
    })

    it('answer requests that come at once in their order, bodies that nobody reads included', async () => {
      const long = 'x'.repeat(15_000)
      const line = `POST ${path()} HTTP/1.1`
      const replies = await exchange(
        url,
        [
          rawRequest(line, [auth()]),
          rawRequest(line, [auth(), 'Content-Type: text/plain', `Content-Length: ${long.length}`], long),
          rawRequest(line, ['Content-Type: application/json', 'Content-Length: 2'], '{}'),
          rawRequest(
            line,
            [auth(), 'Content-Type: application/json', 'Transfer-Encoding: chunked'],
            '2\r\n{}\r\n0\r\n\r\n',
          ),
          rawRequest(line, [auth(), 'Connection: close']),
        ].join(''),
      )
      expect(replies.map(({ status }) => status)).to.deep.equal([202, 415, 401, 202, 202])
    })

    it('answer HTTP/1.0, and hang up', async () => {
      const [reply, ...more] = await exchange(url, `POST ${path()} HTTP/1.0\r\n${auth()}\r\n\r\n`)
      expect([reply?.status, reply?.headers.get('connection'), more]).to.deep.equal([202, 'close', []])
    })

    it('let a client go on that waits for the word, and leave HEAD and other methods to the general way', async () => {
      const socket = await openSocket(url)
      const expects = [auth(), 'Content-Type: application/json', 'Content-Length: 2', 'Expect: 100-continue']
      socket.write(rawRequest(`POST ${path()} HTTP/1.1`, expects))
      const [word] = await once(socket, 'data')
      expect(String(word)).to.match(/^HTTP\/1\.1 100 /)
      socket.write('{}')
      const [answer] = await once(socket, 'data')
      expect(String(answer)).to.match(/^HTTP\/1\.1 202 /)
      socket.destroy()
      for (const method of ['HEAD', 'GET', 'PUT', 'DELETE'])
        expect((await fetch(`${url}${path()}`, { method })).status, method).to.equal(405)
    })

    it('lose no place to clients that go away in the middle', async () => {
      const head = rawRequest(`POST ${path()} HTTP/1.1`, [
        auth(),
        'Content-Type: application/json',
        'Content-Length: 9',
      ])
      for (const text of [head, `${head}{`, rawRequest(`POST ${path()} HTTP/1.1`, [auth()])]) {
        const socket = await openSocket(url)
        socket.end(text)
        socket.destroy()
      }
      await until(
        'nothing to be in hand',
        async () => (await samplesOf(url)).get('http_requests_in_flight') === 1,
      )
      expect((await sendPurchase(url, open, { headers: bearer() })).status).to.equal(202)
    })
  })
})
