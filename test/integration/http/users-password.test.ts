import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { login, openAccount, PASSWORD, refresh, type SessionData } from '../../support/sessions.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

const NEW = 'a quite different one'

describe('a change of the own password', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const change = (token: string | undefined, current: unknown, next: unknown) =>
    api<SessionData>('POST', '/users/me/password', {
      token,
      json: { current_password: current, new_password: next },
    })

  it('sets it and opens a session', async () => {
    const { user, access_token: token } = await openAccount(api)
    const reply = await change(token, PASSWORD, NEW)
    expect(reply.status, reply.text).to.equal(200)
    expect(reply.body.data.user).to.deep.equal(user)
    expect((await api('GET', '/users/me', { token: reply.body.data.access_token })).status).to.equal(200)
    expect((await refresh(api, reply.body.data.refresh_token)).status).to.equal(200)
    expectRefusal(await login(api, user.email, PASSWORD), 401, 'INVALID_CREDENTIALS')
    expect((await login(api, user.email, NEW)).status).to.equal(200)
  })

  it('ends every other session at once, access tokens too', async () => {
    const first = await openAccount(api)
    const second = (await login(api, first.user.email)).body.data
    await change(first.access_token, PASSWORD, NEW)
    for (const session of [first, second]) {
      for (const path of ['/users/me', '/orders'])
        expectRefusal(await api('GET', path, { token: session.access_token }), 401, 'UNAUTHENTICATED')
      expectRefusal(await refresh(api, session.refresh_token), 401, 'INVALID_REFRESH_TOKEN')
      expectRefusal(await change(session.access_token, NEW, PASSWORD), 401, 'UNAUTHENTICATED')
    }
  })

  for (const role of ['operator', 'admin'] as const)
    it(`is open to an ${role}, whose rights stay`, async () => {
      const account = await createAccount(world, role)
      const reply = await change(account.token, account.password, NEW)
      expect(reply.body.data.user).to.include({ id: account.id, role })
      expectRefusal(await api('GET', '/users', { token: account.token }), ...outdated(role))
      const now = await api('GET', '/users', { token: reply.body.data.access_token })
      expect(now.status).to.equal(role === 'admin' ? 200 : 403)
    })

  it('is written down, without a word of the passwords', async () => {
    const { user, access_token: token } = await openAccount(api)
    await api('POST', '/users/me/password', {
      token,
      json: { current_password: PASSWORD, new_password: NEW },
      headers: { 'x-request-id': 'test-of-a-change' },
    })
    const rows = await world.knex('audit_log').where({ target: user.id })
    expect(rows).to.have.length(1)
    expect(rows[0]).to.include({
      actor_id: user.id,
      action: 'user.password',
      before: null,
      after: null,
      request_id: 'test-of-a-change',
    })
  })

  it('needs the present password and a good new one, and changes nothing otherwise', async () => {
    const { user, access_token: token, refresh_token: refreshToken } = await openAccount(api)
    const before = await stateOf(world)
    expectRefusal(await change(undefined, PASSWORD, NEW), 401, 'UNAUTHENTICATED')
    for (const wrong of [`${PASSWORD} `, PASSWORD.toUpperCase(), NEW])
      expectRefusal(await change(token, wrong, NEW), 401, 'INVALID_CREDENTIALS')
    for (const next of [
      'short',
      '',
      'p'.repeat(129),
      'nul \u0000 in a password',
      ' '.repeat(12),
      null,
      1,
      [NEW],
    ])
      expectRefusal(await change(token, PASSWORD, next), 400, 'VALIDATION_FAILED')
    for (const current of ['', 'p'.repeat(129), `${PASSWORD}\u0000`, null, { $ne: '' }])
      expectRefusal(await change(token, current, NEW), 400, 'VALIDATION_FAILED')
    const json = { current_password: PASSWORD, new_password: NEW, user_id: user.id }
    expectRefusal(await api('POST', '/users/me/password', { token, json }), 400, 'VALIDATION_FAILED')
    expect(await stateOf(world)).to.deep.equal(before)
    expect((await refresh(api, refreshToken)).status).to.equal(200)
  })

  it('is done by one of two who try at once', async () => {
    const { user, access_token: token } = await openAccount(api)
    const words = ['the first new password', 'the second new password'] as const
    const replies = await Promise.all(words.map((word) => change(token, PASSWORD, word)))
    expect(replies.map((reply) => reply.status).toSorted()).to.deep.equal([200, 401])
    const winner = words[replies.findIndex((reply) => reply.status === 200)]
    expect((await login(api, user.email, winner)).status).to.equal(200)
    expect(await world.knex('audit_log').where({ target: user.id })).to.have.length(1)
  })
})

/** What an old token gets on a route of admins. */
function outdated(role: 'operator' | 'admin'): [number, string] {
  return role === 'admin' ? [401, 'UNAUTHENTICATED'] : [403, 'FORBIDDEN']
}
