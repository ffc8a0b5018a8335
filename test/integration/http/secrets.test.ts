import { Writable } from 'node:stream'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { pino } from 'pino'
import { compose as composeApi } from '../../../src/compose.ts'
import { compose as composeDashboard } from '../../../dashboard/compose.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { createClient, type Client } from '../../support/http.ts'
import type { SessionData } from '../../support/sessions.ts'
import { createWorld, type World } from '../../support/world.ts'

// The processes get a logger without the redaction of the product's own: what they hand to the logger is judged.
describe('the log, with everything written and nothing blacked out', () => {
  let world: World
  let api: Client
  let lines = ''
  const running: Running[] = []
  let account: Account

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines += chunk.toString()
        done()
      },
    })
    const log = pino({ level: 'trace' }, stream)
    running.push(await composeApi(world.config, log), await composeDashboard(world.config, log))
    for (const part of running) await part.start()
    api = createClient(`${world.apiUrl}/api/v1`)
    account = await createAccount(world, 'admin')
  })
  after(async () => {
    for (const part of running) await part.stop()
    await world.close()
  })

  function expectClean(...secrets: (string | null | undefined)[]): void {
    expect(lines).to.include('api is listening')
    const { jwtSecret, paymentSecret } = world.config
    const passwords = ['DATABASE_URL', 'REDIS_URL', 'QUEUE_REDIS_URL', 'AMQP_URL'].map(
      (name) => new URL(world.env[name] ?? '').password,
    )
    for (const secret of [...secrets, ...passwords, jwtSecret, paymentSecret])
      if (secret) expect(lines.includes(secret), `log has ${secret.slice(0, 6)}...`).to.equal(false)
    expect(lines).to.not.include('argon2')
  }

  it('has no password and no token of those who register and log in, rightly or wrongly', async () => {
    const json = { email: 'loud@spike.test', password: 'sesame-open-4711' }
    const made = await api<SessionData>('POST', '/auth/register', { json })
    expect(made.status).to.equal(201)
    await api('POST', '/auth/register', { json })
    await api('POST', '/auth/login', { json: { ...json, password: 'sesame-wrong-4711' } })
    await api('POST', '/auth/login', { json: { ...json, extra: 1 } })
    await api('POST', '/auth/login', { raw: JSON.stringify(json).slice(0, -1) })
    const { access_token: token, refresh_token, device_token } = made.body.data
    await api('POST', '/auth/login', { json: { ...json, device_token } })
    const refreshed = await api<SessionData>('POST', '/auth/refresh', { json: { refresh_token } })
    await api('POST', '/auth/refresh', { json: { refresh_token } })
    await api('POST', '/auth/logout', { json: { refresh_token } })
    await api('GET', '/users/me', { token })
    await api('GET', '/users/me', { token: `${token}x` })
    await api('POST', `/spike-events/${await createSale(world)}/orders`, { token, json: {} })
    const change = { current_password: json.password, new_password: 'sesame-new-4711' }
    await api('POST', '/users/me/password', { token, json: change })
    const form = new URLSearchParams({ email: account.email, password: account.password }).toString()
    const login = await createClient(world.dashboardUrl)('POST', '/login', {
      raw: form,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    const cookie = /spike_dashboard=([^;]+)/.exec(login.headers.get('set-cookie') ?? '')?.[1]
    expect(cookie).to.be.a('string')
    expectClean(json.password, 'sesame-wrong-4711', change.new_password, account.password)
    expectClean(token, refresh_token, refreshed.body.data.refresh_token, device_token, cookie)
  })

  it('tells of a failure inside, with its request id, and still has no secret', async () => {
    await world.knex.raw('ALTER TABLE users RENAME TO users_away')
    const requestId = 'test-of-a-failure'
    const reply = await api('POST', '/auth/register', {
      json: { email: 'unlucky@spike.test', password: 'sesame-lost-4711' },
      headers: { 'x-request-id': requestId },
    })
    await world.knex.raw('ALTER TABLE users_away RENAME TO users')
    expect(reply.status, reply.text).to.equal(500)
    expect(reply.body).to.include({ error: 'INTERNAL', request_id: requestId })
    expect(reply.text).to.not.match(/users|relation|stack/)
    const line = lines.split('\n').find((text) => text.includes(requestId)) ?? ''
    expect(line).to.include('relation').and.to.include('"level":50')
    expectClean('sesame-lost-4711')
  })
})
