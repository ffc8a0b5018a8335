import { randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { pino } from 'pino'
import { compose as composeDashboard } from '../../dashboard/compose.ts'
import { compose as composeApi } from '../../src/compose.ts'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { SIGNATURE_HEADER, signCallback } from '../../src/payments/signature.ts'
import { loadConfig } from '../../src/platform/config.ts'
import type { Running } from '../../src/platform/lifecycle.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import { compose as composeWorkers } from '../../workers/compose.ts'
import { createAccount } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient } from '../support/attack.ts'
import { order, pay } from '../support/buying.ts'
import { sendLogin } from '../support/dashboard.ts'
import { createClient, type Client } from '../support/http.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { openSender, type Sender } from '../support/raw-messages.ts'
import { login, openAccount, PASSWORD, refresh, type SessionData } from '../support/sessions.ts'
import { atRest } from '../support/state.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

/** A line of a log that an attacker would like to have written. */
const FORGED = '{"level":30,"time":"2026-01-01T00:00:00.000Z","role":"api","msg":"admin logged in"}'
const BREAK = `\r\n${FORGED}\r\n`

// All three processes, with everything logged and nothing blacked out: what they hand to the logger is judged.
describe('attacks on the log', () => {
  let world: World
  let api: Client
  let sender: Sender
  let lines = ''
  const running: Running[] = []

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines += chunk.toString()
        done()
      },
    })
    const log = pino({ level: 'trace' }, stream)
    for (const compose of [composeWorkers, composeApi, composeDashboard])
      running.push(await compose(world.config, log))
    for (const part of running) await part.start()
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    sender = await openSender(world)
  })
  after(async () => {
    await sender.close()
    for (const part of running.toReversed()) await part.stop()
    await world.close()
  })

  function expectClean(secrets: Record<string, string | null | undefined>): void {
    expect(lines).to.include('api is listening')
    const { jwtSecret, paymentSecret } = world.config
    const urls = ['DATABASE_URL', 'REDIS_URL', 'QUEUE_REDIS_URL', 'AMQP_URL']
    const all: Record<string, string | null | undefined> = { ...secrets, jwtSecret, paymentSecret }
    for (const name of urls) all[name] = new URL(world.env[name] ?? '').password
    for (const [name, secret] of Object.entries(all))
      if (secret) expect(lines.includes(secret), `the log has ${name}`).to.equal(false)
    expect(lines).to.not.match(/argon2|eyJ[\w-]+\.eyJ/)
  }

  /** Runs with a table out of the way, so that everything inside fails. */
  async function without(table: string, run: () => Promise<void>): Promise<void> {
    await world.knex.raw('ALTER TABLE ?? RENAME TO ??', [table, `${table}_away`])
    try {
      await run()
    } finally {
      await world.knex.raw('ALTER TABLE ?? RENAME TO ??', [`${table}_away`, table])
    }
  }

  attack('passwords and tokens read from the log, after a buyer’s whole way: none there', async () => {
    const session = await openAccount(api)
    const { user } = session
    await login(api, user.email, 'sesame-wrong-4711')
    const known = (await login(api, user.email, PASSWORD, { deviceToken: session.device_token })).body.data
    const next = (await refresh(api, known.refresh_token)).body.data
    await refresh(api, known.refresh_token)
    const last = (await login(api, user.email)).body.data
    const buyer = { user_id: user.id, email: user.email, access_token: last.access_token }
    const { orderId } = await order(api, await createSale(world), buyer)
    await pay(api, orderId, buyer)
    const change = { current_password: PASSWORD, new_password: 'sesame-new-4711' }
    await api('POST', '/users/me/password', { token: last.access_token, json: change })
    await api('POST', '/auth/logout', { json: { refresh_token: last.refresh_token } })
    const sessions: [string, SessionData][] = Object.entries({ session, known, next, last })
    const tokens = sessions.flatMap(([name, { access_token, refresh_token, device_token }]) =>
      Object.entries({ access_token, refresh_token, device_token }).map(([kind, token]) => [
        `${name} ${kind}`,
        token,
      ]),
    )
    expectClean({
      ...Object.fromEntries(tokens),
      password: PASSWORD,
      wrong: 'sesame-wrong-4711',
      changed: 'sesame-new-4711',
    })
  })

  attack(
    'passwords, tokens and signatures read from the log, after refusals of all kinds: none there',
    async () => {
      const session = await openAccount(api)
      const secrets = {
        password: 'sesame-open-4712',
        token: session.access_token,
        key: `key-${randomUUID()}`,
      }
      const { password, token, key } = secrets
      const raw = JSON.stringify({ email: 'loud@spike.test', password })
      await api('POST', '/auth/login', { raw: raw.slice(0, -1) })
      await api('POST', '/auth/login', { raw, headers: { 'content-type': 'text/plain' } })
      await api('POST', '/auth/login', { raw: `[${raw}]` })
      await api('GET', `/users/me?password=${password}`, { token: `${token}x` })
      await api('GET', '/users/me', { headers: { cookie: `token=${token}` } })
      await api('POST', '/orders', { token, json: { items: [] }, headers: { 'idempotency-key': key } })
      await sendRaw(
        world.apiUrl,
        rawRequest(`GET /users HTTP/1.1`, [`Authorization: Bearer ${token}`, 'X: a\u0001']),
      )
      const callback = JSON.stringify({ txn_id: 'x' })
      const signature = signCallback(world.config.paymentSecret, callback, Date.now())
      await api('POST', '/payments/callback', { raw: callback, headers: { [SIGNATURE_HEADER]: signature } })
      await api('POST', '/payments/callback', {
        raw: `${callback} `,
        headers: { [SIGNATURE_HEADER]: signature },
      })
      expectClean({ ...secrets, refresh: session.refresh_token, signature: signature.split('v1=')[1] })
    },
  )

  attack('passwords and cookies of operators read from the log: none there', async () => {
    const operator = await createAccount(world, 'operator')
    const dashboard = createAttackClient(world.dashboardUrl)
    await sendLogin(dashboard, { ...operator, password: 'sesame-wrong-4713' })
    const cookies = (await sendLogin(dashboard, operator)).headers.getSetCookie()
    const values = cookies.map((cookie) => /=([^;]+)/.exec(cookie)?.[1])
    expect(values).to.have.length(3)
    const headers = { cookie: `spike_dashboard=${values[0]}`, 'x-xsrf-token': values[2] ?? '' }
    await dashboard('PUT', '/queues/api/queues/close-order/nothing/retry', { headers })
    await dashboard('POST', '/login', { raw: '{"email":', headers })
    expectClean({
      password: operator.password,
      wrong: 'sesame-wrong-4713',
      session: values[0],
      device: values[1],
      csrf: values[2],
    })
  })

  attack(
    'insides read from an answer while everything behind it fails: INTERNAL, and the log has no secret',
    async () => {
      const session = await openAccount(api)
      const broken = createClient(`${world.apiUrl}/api/v1`) // 500 is the right answer here
      const password = 'sesame-lost-4714'
      await without('users', async () => {
        const json = { email: 'unlucky@spike.test', password }
        for (const reply of [
          await broken('POST', '/auth/register', { json }),
          await broken('POST', '/auth/login', { json }),
          await broken('GET', '/users/me', { token: session.access_token }),
          await broken('POST', '/auth/refresh', { json: { refresh_token: session.refresh_token } }),
        ]) {
          expect(`${reply.status} ${reply.body.error}`, reply.text).to.equal('500 INTERNAL')
          expect(reply.text).to.not.match(/users|relation|stack|select|insert|node_modules|\.ts/i)
        }
      })
      expect(lines.match(/relation .{1,4}users.{1,4} does not exist/g)?.length).to.be.at.least(4)
      expectClean({ password, token: session.access_token, refresh: session.refresh_token })
    },
  )

  attack('the row that PostgreSQL shows when it breaks a rule, read from the log: blacked out', async () => {
    let own = ''
    const stream = { write: (line: string) => void (own += line) }
    const port = String(await freePort())
    const loud = await composeApi(
      loadConfig({ ...world.env, PORT: port }),
      createLogger('api', 'trace', stream),
    )
    await loud.start()
    await world.knex.raw(`ALTER TABLE users ADD CONSTRAINT no_mallory CHECK (email NOT LIKE 'mallory%')`)
    try {
      const json = { email: 'mallory@spike.test', password: 'sesame-open-4715' }
      const reply = await createClient(`http://127.0.0.1:${port}/api/v1`)('POST', '/auth/register', { json })
      expect(reply.status, reply.text).to.equal(500)
      expect(reply.text).to.not.match(/mallory|argon2/)
    } finally {
      await world.knex.raw('ALTER TABLE users DROP CONSTRAINT no_mallory')
      await loud.stop()
    }
    expect(own).to.include('no_mallory').and.to.include('"detail":"[redacted]"')
    expect(own).to.not.match(/argon2|mallory@|sesame/)
  })

  attack('a line of one’s own in the log, by line breaks in whatever is logged: there is none', async () => {
    const broken = createClient(`${world.apiUrl}/api/v1`)
    const escaped = encodeURIComponent(BREAK)
    const { access_token: token } = await openAccount(api)
    await without('products', async () => {
      await broken('GET', `/products?q=${escaped}`)
      await broken('GET', `/products/${randomUUID()}?x=${escaped}`, { headers: { 'x-request-id': escaped } })
    })
    await broken('GET', `/nothing${escaped}`, { token })
    await login(broken, `a@x.test${BREAK}`)
    await sendRaw(world.apiUrl, rawRequest(`GET /${escaped} HTTP/1.1`, [`User-Agent: ${escaped}`]))
    await sendRaw(world.apiUrl, `GET / HTTP/1.1\r\nHost: x\r\nX: \n${FORGED}\r\n\r\n`)
    const queue = world.topology.queueOf(reservationAccepted)
    await sender.send(queue, `${BREAK}not json`, { messageId: `id${BREAK}` })
    await sender.send(queue, { v: 1, rid: BREAK, [`key${BREAK}`]: BREAK }, { messageId: `other${BREAK}` })
    await until('both to be parked', () => lines.split('message parked').length > 2)
    await atRest(world)
    for (const line of lines.trimEnd().split('\n')) {
      expect(line).to.match(/^\{"level":\d\d,"time":\d+,"pid":/)
      expect(JSON.parse(line).msg).to.not.equal('admin logged in')
    }
    expect(lines).to.not.include('\r')
  })
})
