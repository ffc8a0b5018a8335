import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { compose } from '../../src/compose.ts'
import { ConfigError, loadConfig } from '../../src/platform/config.ts'
import type { Running } from '../../src/platform/lifecycle.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { buy } from '../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../support/http.ts'
import { Proxy } from '../support/proxy.ts'
import { login, openAccount, PASSWORD, refresh } from '../support/sessions.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks on a process in prod', () => {
  let world: World
  let near: Running
  let far: Running
  let nearRoot: Client
  let farRoot: Client

  before(async () => {
    world = await createWorld()
    const start = async (networks: string) => {
      const port = String(await freePort())
      const env = { ...world.env, APP_ENV: 'prod', PORT: port, INTERNAL_NETWORKS: networks }
      const running = await compose(loadConfig(env), world.log)
      await running.start()
      return { running, client: createAttackClient(`http://127.0.0.1:${port}`) }
    }
    ;({ running: near, client: nearRoot } = await start('127.0.0.0/8'))
    ;({ running: far, client: farRoot } = await start('10.0.0.0/8'))
  })
  after(async () => {
    await near.stop()
    await far.stop()
    await world.close()
  })

  const INTERNAL = ['/metrics', '/openapi.json', '/docs', '/docs/swagger-ui.css', '/METRICS', '/docs/']

  attack('metrics, OpenAPI and docs from outside the internal networks: 404', async () => {
    for (const path of INTERNAL) expectRefusal(await farRoot('GET', path), 404, 'NOT_FOUND')
    expect((await nearRoot('GET', '/metrics')).status).to.equal(200)
  })

  attack(
    'metrics, OpenAPI and docs through a proxy, or with an address claimed in a header: 404',
    async () => {
      for (const path of INTERNAL)
        for (const headers of [
          { 'x-forwarded-for': '127.0.0.1' },
          { 'x-forwarded-for': '10.0.0.1' },
          { forwarded: 'for=127.0.0.1' },
        ])
          for (const client of [nearRoot, farRoot])
            expectRefusal(await client('GET', path, { headers }), 404, 'NOT_FOUND')
      for (const headers of [{ 'x-real-ip': '10.0.0.1' }, { host: '10.0.0.1' }, { 'client-ip': '10.0.0.1' }])
        expectRefusal(await farRoot('GET', '/metrics', { headers }), 404, 'NOT_FOUND')
    },
  )

  attack('the details of readiness from outside: ready or not, and no word of what is behind', async () => {
    expect((await farRoot('GET', '/readyz')).body.data).to.deep.equal({ status: 'ready' })
    expect((await nearRoot('GET', '/readyz')).body.data).to.have.property('checks')
    expect((await farRoot('GET', '/healthz')).body.data).to.deep.equal({ status: 'ok' })
  })

  attack('a buyer who tells the payment provider what to answer: 400 in prod', async () => {
    const [{ access_token: token }] = (await createBuyers(world, 1)) as [LoadBuyer]
    const json = { items: [{ product_id: await createProduct(world), quantity: 1 }] }
    const headers = { 'idempotency-key': randomUUID() }
    const made = await farRoot<{ id: string }>('POST', '/api/v1/orders', { token, json, headers })
    expect(made.status, made.text).to.equal(201)
    const path = `/api/v1/orders/${made.body.data.id}/payments`
    await unchanged(world, [], async () => {
      for (const outcome of ['success', 'late', 'duplicate'])
        expectRefusal(await farRoot('POST', path, { token, json: { outcome } }), 400, 'VALIDATION_FAILED')
    })
  })

  attack('limits switched off in prod: the process does not start', async () => {
    expect(() => loadConfig({ ...world.env, APP_ENV: 'prod', RATE_LIMIT: 'off' })).to.throw(
      ConfigError,
      'RATE_LIMIT',
    )
  })

  attack('what is often forgotten on a server: old versions, consoles, files: 404', async () => {
    for (const path of [
      '/.env',
      '/.git/config',
      '/package.json',
      '/dist/src/main.js',
      '/api/v0/products',
      '/api/v2/products',
      '/api/products',
      '/admin',
      '/queues',
      '/debug/vars',
      '/graphql',
      '/actuator/env',
      '/server-status',
      '/swagger.json',
      '/api-docs',
      '/robots.txt',
    ])
      for (const client of [nearRoot, farRoot]) expectRefusal(await client('GET', path), 404, 'NOT_FOUND')
  })

  attack('what the process is made of, from its answers: no header tells', async () => {
    for (const path of ['/healthz', '/nothing', '/api/v1/users/me']) {
      const { headers } = await farRoot('GET', path)
      for (const name of ['x-powered-by', 'server', 'via', 'x-aspnet-version'])
        expect(headers.get(name), `${path} ${name}`).to.equal(null)
      expect(headers.get('strict-transport-security')).to.match(/max-age=\d{7,}/)
      expect(headers.get('x-content-type-options')).to.equal('nosniff')
      expect(headers.get('content-security-policy')).to.include("default-src 'self'")
    }
  })
})

/** 503 is the right answer here: these clients do not count it. */
describe('attacks while something is down', () => {
  const SETTINGS = { postgres: 'DATABASE_URL', redis: 'REDIS_URL', rabbitmq: 'AMQP_URL' } as const
  let world: World
  let running: Running
  let root: Client
  let api: Client
  let eventId: string
  const proxies = {} as Record<keyof typeof SETTINGS, Proxy>

  before(async () => {
    world = await createWorld()
    const env: NodeJS.ProcessEnv = { ...world.env, PORT: String(await freePort()) }
    for (const name of Object.keys(SETTINGS) as (keyof typeof SETTINGS)[]) {
      const url = world.env[SETTINGS[name]] ?? ''
      proxies[name] = await Proxy.before(url)
      env[SETTINGS[name]] = proxies[name].urlOf(url)
    }
    running = await compose(loadConfig(env), world.log)
    await running.start()
    root = createClient(`http://127.0.0.1:${env.PORT}`)
    api = createClient(`http://127.0.0.1:${env.PORT}/api/v1`)
    eventId = await createSale(world, { stock: 50 })
  })
  after(async () => {
    for (const proxy of Object.values(proxies)) await proxy.restore()
    await running.stop()
    for (const proxy of Object.values(proxies)) await proxy.cut()
    await world.close()
  })

  async function without(name: keyof typeof SETTINGS, run: () => Promise<void>): Promise<void> {
    await proxies[name].cut()
    try {
      await run()
    } finally {
      await proxies[name].restore()
      await until('all to be well', async () => (await root('GET', '/readyz')).status === 200)
    }
  }

  attack(
    'what needs a role, a password or a session while PostgreSQL is down: 503, nothing opens',
    async () => {
      const admin = await createAccount(world, 'admin')
      const session = await openAccount(api)
      const user = (await createBuyers(world, 1))[0]
      await without('postgres', async () => {
        for (const reply of [
          await api('GET', '/users', { token: admin.token }),
          await api('GET', '/users', { token: user?.access_token }),
          await api('POST', `/spike-events/${eventId}/pause`, { token: admin.token }),
          await login(api, session.user.email, PASSWORD),
          await login(api, session.user.email, 'a wrong password'),
          await refresh(api, session.refresh_token),
          await api('GET', '/users/me', { token: session.access_token }),
        ])
          expectRefusal(reply, 503, 'NOT_READY')
        expectRefusal(await api('GET', '/users', { token: `${admin.token}x` }), 401, 'UNAUTHENTICATED')
      })
    },
  )

  attack(
    'a token that was revoked, while PostgreSQL is down: 401, the revocations are in memory',
    async () => {
      const account = await createAccount(world)
      await world.knex('users').where({ id: account.id }).update({ disabled: true })
      const token = account.token
      const read = () => api('GET', '/orders', { token })
      await until('the revocation', async () => (await read()).status === 401)
      await without('postgres', async () => {
        expectRefusal(await read(), 401, 'UNAUTHENTICATED')
        expectRefusal(await api('POST', `/spike-events/${eventId}/orders`, { token }), 401, 'UNAUTHENTICATED')
      })
    },
  )

  attack(
    'passwords guessed while Redis can not count: 503 for logins, registrations and changes',
    async () => {
      const { user, access_token: token, device_token: deviceToken } = await openAccount(api)
      await without('redis', async () => {
        const change = { current_password: PASSWORD, new_password: 'another password' }
        for (const reply of [
          await login(api, user.email, PASSWORD),
          await login(api, user.email, PASSWORD, { deviceToken }),
          await api('POST', '/auth/register', { json: { email: 'late@spike.test', password: PASSWORD } }),
          await api('POST', '/users/me/password', { token, json: change }),
        ])
          expectRefusal(reply, 503, 'NOT_READY')
      })
    },
  )

  attack(
    'purchases without end while Redis can not count: refused, and each process counts by itself',
    async () => {
      const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
      await without('redis', async () => {
        const tally: Record<number, number> = {}
        for (const { status } of await Promise.all(
          Array.from({ length: 30 }, () => buy(api, eventId, buyer)),
        ))
          tally[status] = (tally[status] ?? 0) + 1
        expect(tally).to.deep.equal({ 503: 20, 429: 10 })
        expect((await api('GET', '/products')).status, 'reading goes on').to.equal(200)
      })
      expect(await world.redis.get(spikeKeys(eventId).stock)).to.equal('50')
    },
  )

  attack(
    'a request repeated with its key while Redis can not tell whether it was done: 503, not done twice',
    async () => {
      const [{ access_token: token }] = (await createBuyers(world, 1)) as [LoadBuyer]
      const productId = await createProduct(world, 10)
      const json = { items: [{ product_id: productId, quantity: 1 }] }
      const headers = { 'idempotency-key': randomUUID() }
      expect((await api('POST', '/orders', { token, json, headers })).status).to.equal(201)
      await without('redis', async () =>
        expectRefusal(await api('POST', '/orders', { token, json, headers }), 503, 'NOT_READY'),
      )
      expect(await world.knex('inventory').where({ product_id: productId }).first('stock')).to.deep.equal({
        stock: 9,
      })
    },
  )

  attack('a sale whose gate Redis has lost, to have its stock made anew: 503, nothing is made', async () => {
    const saleId = await createSale(world)
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    await world.redis.unlink(spikeKeys(saleId).gate, spikeKeys(saleId).stock)
    expectRefusal(await buy(api, saleId, buyer), 503, 'NOT_READY')
    expect(await world.redis.exists(spikeKeys(saleId).gate, spikeKeys(saleId).stock)).to.equal(0)
  })

  attack(
    'a purchase told as taken while RabbitMQ is down, then asked for again: one reservation',
    async () => {
      const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
      await without('rabbitmq', async () => {
        const first = await buy(api, eventId, buyer)
        expect([first.status, first.body.data.status], first.text).to.deep.equal([202, 'reserving'])
        const again = await buy(api, eventId, buyer)
        expectRefusal(again, 409, 'ALREADY_PURCHASED')
        expect(again.body.data.reservation_id).to.equal(first.body.data.reservation_id)
      })
    },
  )
})
