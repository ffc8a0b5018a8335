import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { issueToken, tokenKey } from '../../../src/users/tokens.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { login, openAccount, refresh, type SessionData } from '../../support/sessions.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const WEEK_S = 7 * 86_400

describe('a session', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const tokensOf = (userId: string) => world.knex('refresh_tokens').where({ user_id: userId }).orderBy('id')
  const refused = (reply: Reply<unknown>) => expectRefusal(reply, 401, 'INVALID_REFRESH_TOKEN')
  const logout = (refreshToken: unknown) =>
    api('POST', '/auth/logout', { json: { refresh_token: refreshToken } })

  /** Refreshes and expects it to work. */
  async function next(refreshToken: string, token?: string): Promise<SessionData> {
    const reply = await refresh(api, refreshToken, token)
    expect(reply.status, reply.text).to.equal(200)
    return reply.body.data
  }

  it('goes on with a refresh token, which comes with every login and every refresh', async () => {
    const first = await openAccount(api)
    const second = await next(first.refresh_token)
    const third = (await login(api, first.user.email)).body.data
    for (const session of [first, second, third]) {
      expect(session).to.have.all.keys(
        'access_token',
        'token_type',
        'expires_in',
        'refresh_token',
        'refresh_expires_in',
        'device_token',
        'user',
      )
      expect(session).to.include({ token_type: 'Bearer', expires_in: 900 })
      expect(session.refresh_token).to.match(/^[\w-]{43}$/)
      expect(session.refresh_expires_in).to.be.within(WEEK_S - 60, WEEK_S)
      expect(session.user).to.deep.equal(first.user)
      const me = await api('GET', '/users/me', { token: session.access_token })
      expect(me.status, me.text).to.equal(200)
    }
    expect(new Set([first, second, third].map((session) => session.refresh_token))).to.have.property(
      'size',
      3,
    )
  })

  it('is known to the database by the hash of its token only', async () => {
    const { user, refresh_token: token } = await openAccount(api)
    const { rows } = await world.knex.raw(
      'SELECT t::text AS text, token_hash FROM refresh_tokens t WHERE user_id = ?',
      [user.id],
    )
    expect(rows).to.have.length(1)
    expect(rows[0].token_hash).to.deep.equal(createHash('sha256').update(token).digest())
    expect(rows[0].text).to.not.include(token)
    refused(await refresh(api, rows[0].token_hash.toString('base64url')))
  })

  it('ends when one of its refresh tokens comes a second time, and others of the user go on', async () => {
    const stolen = await openAccount(api)
    const other = (await login(api, stolen.user.email)).body.data
    const second = await next(stolen.refresh_token)
    const third = await next(second.refresh_token)
    const reply = await api('POST', '/auth/refresh', {
      json: { refresh_token: stolen.refresh_token },
      headers: { 'x-request-id': 'test-of-a-replay' },
    })
    refused(reply)
    for (const token of [stolen, second, third]) refused(await refresh(api, token.refresh_token))
    await next(other.refresh_token)
    const audit = await world.knex('audit_log').where({ action: 'session.replay', target: stolen.user.id })
    expect(audit).to.have.length(1)
    expect(audit[0]).to.include({ actor_id: null, request_id: 'test-of-a-replay' })
  })

  it('is refreshed once when a token comes ten times at once, and ends', async () => {
    for (let round = 0; round < 5; round++) {
      const { refresh_token: token } = await openAccount(api)
      const replies = await Promise.all(Array.from({ length: 10 }, () => refresh(api, token)))
      const winners = replies.filter((reply) => reply.status === 200)
      expect(winners).to.have.length(1)
      for (const reply of replies) if (reply.status !== 200) refused(reply)
      refused(await refresh(api, winners[0]?.body.data.refresh_token))
    }
  })

  it('ends with a logout, which always has the same answer', async () => {
    const first = await openAccount(api)
    const second = await next(first.refresh_token)
    const other = (await login(api, first.user.email)).body.data
    for (const token of [
      second.refresh_token,
      second.refresh_token,
      first.refresh_token,
      'unknown',
      'x\u0000y',
    ]) {
      const reply = await logout(token)
      expect(`${reply.status} ${reply.text}`).to.equal('204 ')
    }
    for (const token of [first, second]) refused(await refresh(api, token.refresh_token))
    await next(other.refresh_token)
    for (const json of [undefined, {}, { refresh_token: '' }, { refresh_token: [second.refresh_token] }])
      expectRefusal(await api('POST', '/auth/logout', { json }), 400, 'VALIDATION_FAILED')
  })

  it('ends seven days after its last refresh', async () => {
    const { user, refresh_token: token } = await openAccount(api)
    await world.knex('refresh_tokens').where({ user_id: user.id }).update({ expires_at: world.knex.fn.now() })
    refused(await refresh(api, token))
  })

  it('ends thirty days after its login, however often it is refreshed', async () => {
    const first = await openAccount(api)
    const [row] = await tokensOf(first.user.id)
    expect(row.family_expires_at - row.created_at).to.equal(30 * 86_400_000)
    await world
      .knex('refresh_tokens')
      .where({ id: row.id })
      .update({ family_expires_at: world.knex.raw(`now() + interval '1 hour'`) })
    const second = await next(first.refresh_token)
    const third = await next(second.refresh_token)
    for (const session of [second, third]) expect(session.refresh_expires_in).to.be.within(3_500, 3_600)
    const ends = (await tokensOf(first.user.id)).map((token) => Number(token.family_expires_at))
    expect(new Set(ends)).to.have.property('size', 1)
    await world
      .knex('refresh_tokens')
      .where({ user_id: first.user.id })
      .update({ family_expires_at: world.knex.fn.now() })
    refused(await refresh(api, third.refresh_token))
  })

  it('does not go on for a disabled user, or for one who is gone', async () => {
    const disabled = await openAccount(api)
    const gone = await openAccount(api)
    await world.knex('users').where({ id: disabled.user.id }).update({ disabled: true })
    await world.knex('users').where({ id: gone.user.id }).delete()
    for (const session of [disabled, gone]) refused(await refresh(api, session.refresh_token))
    expect((await logout(gone.refresh_token)).status).to.equal(204)
  })

  it('does not go on for somebody else, and is not used up by the try', async () => {
    const owner = await openAccount(api)
    const other = await createAccount(world)
    refused(await refresh(api, owner.refresh_token, other.token))
    await next(owner.refresh_token, owner.access_token)
  })

  it('goes on beside an access token that is over or no token at all', async () => {
    const other = await createAccount(world)
    const key = tokenKey(world.config.jwtSecret)
    const version = { id: other.id, role: 'user', token_version: 1 } as const
    let session = await openAccount(api)
    for (const token of [
      issueToken(key, version, 'api', -1),
      issueToken(key, version, 'dashboard'),
      issueToken(tokenKey(randomBytes(32).toString('hex')), version, 'api'),
      issueToken(key, { ...version, token_version: 0 }, 'api', -1),
      'x',
      '',
    ])
      session = await next(session.refresh_token, token)
    const basic = await api<SessionData>('POST', '/auth/refresh', {
      json: { refresh_token: session.refresh_token },
      headers: { authorization: 'Basic eDp5' },
    })
    expect(basic.status, basic.text).to.equal(200)
  })

  it('does not go on with what is no refresh token', async () => {
    const session = await openAccount(api)
    for (const token of [
      session.access_token,
      session.device_token,
      randomBytes(32).toString('base64url'),
      `${session.refresh_token} `,
      session.refresh_token.slice(1),
      session.refresh_token.toUpperCase(),
      'x\u0000y',
    ])
      refused(await refresh(api, token))
    for (const token of ['', null, 1, {}, [session.refresh_token], 'x'.repeat(1_001)])
      expectRefusal(await refresh(api, token), 400, 'VALIDATION_FAILED')
    const json = { refresh_token: session.refresh_token, user_id: session.user.id }
    expectRefusal(await api('POST', '/auth/refresh', { json }), 400, 'VALIDATION_FAILED')
    await next(session.refresh_token)
  })

  it('leaves nothing behind once it is over and the user logs in again', async () => {
    const { user } = await openAccount(api)
    const old = (await login(api, user.email)).body.data
    const left = (await login(api, user.email)).body.data
    await logout(left.refresh_token)
    const [first] = await tokensOf(user.id)
    await world
      .knex('refresh_tokens')
      .where({ id: first.id })
      .update({ family_expires_at: world.knex.fn.now() })
    await login(api, user.email)
    expect(await tokensOf(user.id)).to.have.length(2)
    await next(old.refresh_token)
  })

  it('is not opened with a password that is changed while it is checked', async () => {
    const { user } = await openAccount(api)
    const trx = await world.knex.transaction()
    await trx('users').where({ id: user.id }).update({ password_hash: 'changed' })
    const late = login(api, user.email)
    try {
      await until('the login to wait for the change', async () => {
        const { rows } = await world.knex.raw(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
        return rows.length > 0
      })
    } finally {
      await trx.commit()
    }
    expectRefusal(await late, 401, 'INVALID_CREDENTIALS')
    expect(await tokensOf(user.id)).to.have.length(1)
  })
})
