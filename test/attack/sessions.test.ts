import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { compose as composeDashboard } from '../../dashboard/compose.ts'
import { loadConfig } from '../../src/platform/config.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import { createAccount } from '../factories/accounts.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { cookieOf, logIn, sendLogin } from '../support/dashboard.ts'
import { expectRefusal, type Client, type Reply } from '../support/http.ts'
import { login, openAccount, PASSWORD, refresh, type SessionData } from '../support/sessions.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks on sessions', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    await world.start('dashboard')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const refused = (reply: Reply<unknown>) => expectRefusal(reply, 401, 'INVALID_REFRESH_TOKEN')
  async function next(refreshToken: string): Promise<SessionData> {
    const reply = await refresh(api, refreshToken)
    expect(reply.status, reply.text).to.equal(200)
    return reply.body.data
  }

  attack('a rotated refresh token replayed: 401, and the whole family ends', async () => {
    const stolen = await openAccount(api)
    const second = await next(stolen.refresh_token)
    const third = await next(second.refresh_token)
    refused(await refresh(api, stolen.refresh_token))
    for (const token of [third, second, stolen]) refused(await refresh(api, token.refresh_token))
  })

  attack('one refresh token sent ten times at once: one session, and then none', async () => {
    const { refresh_token: token } = await openAccount(api)
    const replies = await Promise.all(Array.from({ length: 10 }, () => refresh(api, token)))
    const winners = replies.filter((reply) => reply.status === 200)
    expect(winners).to.have.length(1)
    refused(await refresh(api, winners[0]?.body.data.refresh_token))
  })

  attack('a refresh after the logout: 401', async () => {
    const session = await openAccount(api)
    const newer = await next(session.refresh_token)
    await api('POST', '/auth/logout', { json: { refresh_token: newer.refresh_token } })
    for (const token of [session, newer]) refused(await refresh(api, token.refresh_token))
  })

  attack('a refresh, or an older access token, after a change of the password: 401', async () => {
    const thief = await openAccount(api)
    const owner = (await login(api, thief.user.email)).body.data
    const change = { current_password: PASSWORD, new_password: 'another password' }
    const reply = await api('POST', '/users/me/password', { token: owner.access_token, json: change })
    expect(reply.status, reply.text).to.equal(200)
    for (const { refresh_token, access_token } of [thief, owner]) {
      refused(await refresh(api, refresh_token))
      expectRefusal(await api('GET', '/users/me', { token: access_token }), 401, 'UNAUTHENTICATED')
    }
  })

  attack('a refresh after an admin has disabled or demoted the account: 401', async () => {
    const { token } = await createAccount(world, 'admin')
    for (const change of [{ disabled: true }, { role: 'operator' }]) {
      const session = await openAccount(api)
      const patch = await api('PATCH', `/users/${session.user.id}`, { token, json: change })
      expect(patch.status, patch.text).to.equal(200)
      refused(await refresh(api, session.refresh_token))
      const me = await api('GET', '/users/me', { token: session.access_token })
      expectRefusal(me, 401, 'UNAUTHENTICATED')
    }
  })

  attack('a family kept alive beyond its 30 days by refreshing: 401', async () => {
    const session = await openAccount(api)
    const newer = await next(session.refresh_token)
    const tokens = world.knex('refresh_tokens').where({ user_id: session.user.id })
    const [{ left }] = await tokens
      .clone()
      .select(world.knex.raw('max(extract(epoch FROM family_expires_at - now()))::int AS left'))
    expect(left).to.be.within(30 * 86_400 - 60, 30 * 86_400)
    await tokens.clone().update({ family_expires_at: world.knex.fn.now() })
    refused(await refresh(api, newer.refresh_token))
  })

  attack('the refresh token of one user with the access token of another: 401', async () => {
    const owner = await openAccount(api)
    const thief = await createAccount(world)
    await unchanged(world, [], async () => refused(await refresh(api, owner.refresh_token, thief.token)))
    await next(owner.refresh_token)
  })

  attack('300 refresh tokens guessed: 401 for all', async () => {
    const { refresh_token: token } = await openAccount(api)
    await unchanged(world, [], async () => {
      for (let i = 0; i < 6; i++) {
        const guesses = Array.from({ length: 50 }, () => randomBytes(32).toString('base64url'))
        for (const reply of await Promise.all(guesses.map((guess) => refresh(api, guess)))) refused(reply)
      }
      for (const near of [`${token} `, token.toLowerCase(), token.slice(1), `${token}=`, `${token}\u0000`])
        refused(await refresh(api, near))
    })
  })

  attack('a dump of the database and of Redis: hashes, and no token that could be used', async () => {
    const { user, refresh_token, access_token, device_token } = await openAccount(api)
    const { rows } = await world.knex.raw(
      `SELECT t::text AS text FROM refresh_tokens t WHERE user_id = :id
        UNION ALL SELECT u::text FROM users u WHERE id = :id
        UNION ALL SELECT a::text FROM audit_log a`,
      { id: user.id },
    )
    let dump = rows.map((row: { text: string }) => row.text).join('\n')
    for (const key of await world.redis.keys(`${world.config.namespace}:*`))
      dump += key + ((await world.redis.dumpBuffer(key))?.toString('latin1') ?? '')
    expect(dump).to.include(createHash('sha256').update(refresh_token).digest('hex'))
    expect(dump).to.include('$argon2id$')
    for (const secret of [refresh_token, access_token, device_token, PASSWORD])
      expect(dump.includes(secret)).to.equal(false)
    refused(await refresh(api, createHash('sha256').update(refresh_token).digest('base64url')))
    refused(await refresh(api, createHash('sha256').update(refresh_token).digest('hex')))
  })

  attack(
    'a refresh by a cookie, as a foreign page would make a browser send it: 400, no cookie is read',
    async () => {
      const { refresh_token: token } = await openAccount(api)
      const headers = { cookie: `refresh_token=${token}`, origin: 'https://evil.example' }
      await unchanged(world, [], async () => {
        expectRefusal(await api('POST', '/auth/refresh', { headers, json: {} }), 400, 'VALIDATION_FAILED')
        const form = { ...headers, 'content-type': 'application/x-www-form-urlencoded' }
        const raw = `refresh_token=${token}`
        expectRefusal(
          await api('POST', '/auth/refresh', { headers: form, raw }),
          415,
          'UNSUPPORTED_MEDIA_TYPE',
        )
      })
    },
  )

  attack(
    'a page of another origin that wants to read a session: the browser is not told that it may',
    async () => {
      const { user } = await openAccount(api)
      const reply = await login(api, user.email, PASSWORD, { headers: { origin: 'https://evil.example' } })
      expect(reply.status).to.equal(200)
      expect(reply.headers.get('access-control-allow-origin')).to.equal(null)
      expect(reply.headers.get('access-control-allow-credentials')).to.equal(null)
      expect(reply.headers.getSetCookie(), 'the API sets no cookies').to.deep.equal([])
    },
  )

  attack(
    'the dashboard’s cookies stolen by script, by plain HTTP or by another site: flags forbid it',
    async () => {
      const operator = await createAccount(world, 'operator')
      const port = String(await freePort())
      const config = loadConfig({ ...world.env, APP_ENV: 'staging', DASHBOARD_PORT: port })
      const staging = await composeDashboard(config, world.log)
      await staging.start()
      try {
        const client = createAttackClient(`http://127.0.0.1:${port}`)
        const cookies = (await sendLogin(client, operator)).headers.getSetCookie()
        expect(cookies).to.have.length(3)
        for (const cookie of cookies) {
          // The word against forged pages is for the page's script, and opens nothing by itself.
          const hidden = cookie.startsWith('XSRF-TOKEN=') ? [] : ['httponly']
          const flags = cookie.toLowerCase().split('; ')
          expect(flags).to.include.members([...hidden, 'secure', 'samesite=strict'])
        }
      } finally {
        await staging.stop()
      }
    },
  )

  attack('the dashboard’s session fixed before the login: the login makes a new one', async () => {
    const operator = await createAccount(world, 'operator')
    const dashboard = createAttackClient(world.dashboardUrl)
    const fixed = { cookie: 'spike_dashboard=fixed-by-the-attacker' }
    const reply = await sendLogin(dashboard, operator, fixed)
    expect(cookieOf(reply)).to.match(/^spike_dashboard=[\w-]+\.[\w-]+\.[\w-]+$/)
    expect((await dashboard('GET', '/queues/api/queues', { headers: fixed })).status).to.equal(401)
  })

  attack('CSRF on login, logout and writes of the dashboard: 403', async () => {
    const dashboard = createAttackClient(world.dashboardUrl)
    const operator = await createAccount(world, 'operator')
    const session = await logIn(dashboard, operator)
    for (const foreign of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', origin: world.dashboardUrl },
    ]) {
      expect((await sendLogin(dashboard, operator, foreign)).status).to.equal(403)
      for (const [method, path] of [
        ['POST', '/logout'],
        ['PUT', '/queues/api/queues/close-order/pause'],
        ['POST', '/queues/api/queues/close-order/add'],
      ] as const) {
        const reply = await dashboard(method, path, { headers: { ...session, ...foreign } })
        expect(reply.status, `${method} ${path}`).to.equal(403)
      }
    }
  })
})
