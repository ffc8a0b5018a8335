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

const SETTINGS = { postgres: 'DATABASE_URL', redis: 'REDIS_URL', rabbitmq: 'AMQP_URL' } as const
type Dependency = keyof typeof SETTINGS

interface Readiness {
  status: string
  checks: Record<Dependency, string>
}

describe('the API while a dependency is away', () => {
  let world: World
  let root: Client
  let api: Client
  let running: Running
  const proxies = {} as Record<Dependency, Proxy>
  let eventId: string
  let buyers: LoadBuyer[]

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    const env: NodeJS.ProcessEnv = { ...world.env, PORT: String(await freePort()) }
    for (const [name, setting] of Object.entries(SETTINGS) as [Dependency, string][]) {
      const url = world.env[setting] ?? ''
      proxies[name] = await Proxy.before(url)
      env[setting] = proxies[name].urlOf(url)
    }
    running = await compose(loadConfig(env), world.log)
    await running.start()
    root = createClient(`http://127.0.0.1:${env.PORT}`)
    api = createClient(`http://127.0.0.1:${env.PORT}/api/v1`)
    eventId = await createSale(world, { stock: 100 })
    buyers = await createBuyers(world, 20)
  })
  after(async () => {
    for (const proxy of Object.values(proxies)) await proxy.restore()
    await running.stop()
    for (const proxy of Object.values(proxies)) await proxy.cut()
    await world.close()
  })

  const nextBuyer = (): LoadBuyer => buyers.pop() as LoadBuyer
  const readiness = (): Promise<Reply<Readiness>> => root<Readiness>('GET', '/readyz')
  const isReady = async (): Promise<boolean> => (await readiness()).status === 200
  const stock = async (): Promise<number> => Number(await world.redis.get(`{spike:${eventId}}:stock`))

  for (const name of Object.keys(SETTINGS) as Dependency[])
    it(`is alive, not ready, and names ${name} when that is down, and ready again after`, async () => {
      await until('all to be well', isReady)
      await proxies[name].cut()
      const reply = await until(`${name} to be missed`, async () => {
        const answer = await readiness()
        return answer.status === 503 && answer
      })
      expectRefusal(reply, 503, 'NOT_READY')
      expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
      expect(reply.body.data).to.deep.equal({
        status: 'not_ready',
        checks: { postgres: 'ok', redis: 'ok', rabbitmq: 'ok', [name]: 'down' },
      })
      expect((await root('GET', '/healthz')).status).to.equal(200)
      await proxies[name].restore()
      await until('all to be well again', isReady)
    })

  for (const name of ['postgres', 'redis'] as const)
    it(`notices within 8 s that ${name} has fallen silent`, async () => {
      await until('all to be well', isReady)
      proxies[name].fallSilent()
      try {
        const reply = await Promise.race([
          readiness(),
          new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 8_000).unref()),
        ])
        expect(reply?.status, 'no answer within 8 s').to.equal(503)
        expect(reply?.body.data.checks[name]).to.equal('down')
      } finally {
        await proxies[name].cut() // so that nothing waits for it any longer
        await proxies[name].restore()
      }
      await until('all to be well again', isReady)
    })

  it('takes no unit and says when to come back while Redis is down', async () => {
    await until('all to be well', isReady)
    const before = await stock()
    await proxies.redis.cut()
    const reply = await buy(api, eventId, nextBuyer())
    expectRefusal(reply, 503, 'NOT_READY')
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
    await proxies.redis.restore()
    await until('all to be well again', isReady)
    expect(await stock()).to.equal(before)
    expect((await buy(api, eventId, nextBuyer())).status).to.equal(202)
  })

  it('keeps the unit and says `reserving` while RabbitMQ is down', async () => {
    await until('all to be well', isReady)
    const before = await stock()
    await proxies.rabbitmq.cut()
    await until('the loss to be noticed', async () => !(await isReady()))
    const buyer = nextBuyer()
    const reply = await buy(api, eventId, buyer)
    expect(reply.status, reply.text).to.equal(202)
    expect(reply.body.data.status).to.equal('reserving')
    const rid = reply.body.data.reservation_id
    const asked = await api('GET', `/reservations/${rid}`, { token: buyer.access_token })
    expect(asked.body.data).to.deep.include({ reservation_id: rid, status: 'reserving' })
    expect(await stock()).to.equal(before - 1)
    await proxies.rabbitmq.restore()
    await until('all to be well again', isReady)
  })

  it('sells on, and refuses only what needs PostgreSQL, while that is down', async () => {
    await until('all to be well', isReady)
    await proxies.postgres.cut()
    const buyer = nextBuyer()
    const reply = await buy(api, eventId, buyer)
    expect(reply.status, reply.text).to.equal(202)
    for (const [method, path] of [
      ['GET', '/products'],
      ['GET', '/users/me'],
      ['GET', `/orders/${eventId}`],
    ] as const) {
      const refused = await api(method, path, { token: buyer.access_token })
      expectRefusal(refused, 503, 'NOT_READY')
      expect(Number(refused.headers.get('retry-after'))).to.be.within(1, 60)
    }
    await proxies.postgres.restore()
    await until('all to be well again', isReady)
  })
})
