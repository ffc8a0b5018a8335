import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { login, openAccount, refresh, type SessionData } from '../../support/sessions.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a session that is refreshed without end', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const tokensOf = (userId: string) => world.knex('refresh_tokens').where({ user_id: userId })
  const refused = (reply: Reply<unknown>) => expectRefusal(reply, 401, 'INVALID_REFRESH_TOKEN')
  const replaysOf = (userId: string) =>
    world.knex('audit_log').where({ action: 'session.replay', target: userId })

  /** Puts tokens that were used an hour ago behind the only one of a session. */
  function lengthen({ user }: SessionData, count: number): Promise<unknown> {
    return world.knex.raw(
      `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, family_expires_at, rotated_at)
       SELECT gen_random_uuid(), user_id, family_id, sha256(id::text::bytea || n::text::bytea), expires_at,
              family_expires_at, now() - interval '1 hour'
         FROM refresh_tokens, generate_series(1, ?::int) n WHERE user_id = ?`,
      [count, user.id],
    )
  }

  /** Refreshes and expects it to work. */
  async function next(refreshToken: string, token?: string): Promise<SessionData> {
    const reply = await refresh(api, refreshToken, token)
    expect(reply.status, reply.text).to.equal(200)
    return reply.body.data
  }

  it('is refreshed 30 times a minute, and waits with the 31st', async () => {
    const { user, refresh_token: first } = await openAccount(api)
    let last = first
    for (let i = 0; i < 30; i++) last = (await next(last)).refresh_token
    const reply = await refresh(api, last)
    expectRefusal(reply, 429, 'RATE_LIMITED')
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
    expect(await tokensOf(user.id)).to.have.length(31)
    await next((await login(api, user.email)).body.data.refresh_token)
    const oldest = world.knex('refresh_tokens').where({ user_id: user.id }).min('rotated_at')
    await world
      .knex('refresh_tokens')
      .where({ user_id: user.id, rotated_at: oldest })
      .update({ rotated_at: world.knex.raw(`now() - interval '61 seconds'`) })
    last = (await next(last)).refresh_token
    expectRefusal(await refresh(api, last), 429, 'RATE_LIMITED')
    refused(await refresh(api, first))
    refused(await refresh(api, last))
  })

  const revokedOf = (userId: string) =>
    world.knex('refresh_tokens').where({ user_id: userId }).whereNotNull('revoked_at').select('id')

  it('forgets tokens a day after they were used; they are refused and end nothing', async () => {
    const { user, refresh_token: first } = await openAccount(api)
    const second = await next(first)
    await world
      .knex('refresh_tokens')
      .where({ user_id: user.id })
      .whereNotNull('rotated_at')
      .update({ rotated_at: world.knex.raw(`now() - interval '25 hours'`) })
    const third = await next(second.refresh_token)
    expect(await tokensOf(user.id)).to.have.length(2)
    refused(await refresh(api, first))
    expect(await replaysOf(user.id)).to.have.length(0)
    const fourth = await next(third.refresh_token)
    refused(await refresh(api, second.refresh_token))
    refused(await refresh(api, fourth.refresh_token))
    expect(await replaysOf(user.id)).to.have.length(1)
  })

  it('tells of a replay once', async () => {
    const { user, refresh_token: first } = await openAccount(api)
    await next(first)
    for (let i = 0; i < 3; i++) refused(await refresh(api, first))
    expect(await replaysOf(user.id)).to.have.length(1)
    const left = (await login(api, user.email)).body.data.refresh_token
    await next(left)
    await api('POST', '/auth/logout', { json: { refresh_token: left } })
    refused(await refresh(api, left))
    expect(await replaysOf(user.id)).to.have.length(1)
  })

  it('ends by one row, however many used tokens are behind it', async () => {
    const admin = await createAccount(world, 'admin')
    const replayed = await openAccount(api)
    const disabled = await openAccount(api)
    for (const session of [replayed, disabled]) await lengthen(session, 20_000)
    const second = await next(replayed.refresh_token)
    refused(await refresh(api, replayed.refresh_token))
    refused(await refresh(api, second.refresh_token))
    expect(await replaysOf(replayed.user.id)).to.have.length(1)
    expect(await revokedOf(replayed.user.id)).to.have.length(1)

    const json = { disabled: true }
    const patch = await api('PATCH', `/users/${disabled.user.id}`, { token: admin.token, json })
    expect(patch.status, patch.text).to.equal(200)
    expect(await revokedOf(disabled.user.id)).to.have.length(1)
    refused(await refresh(api, disabled.refresh_token))
  })

  it('is one of a hundred of its user: one more ends that which was not used for longest', async () => {
    const idle = await openAccount(api)
    const used = (await login(api, idle.user.email)).body.data
    await world
      .knex('refresh_tokens')
      .where({ user_id: idle.user.id })
      .update({ created_at: world.knex.raw(`now() - interval '1 day'`) })
    await world.knex.raw(
      `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, family_expires_at)
       SELECT gen_random_uuid(), ?, gen_random_uuid(), sha256(n::text::bytea), now() + interval '1 day',
              now() + interval '1 day' FROM generate_series(1, 98) n`,
      [idle.user.id],
    )
    const again = await next(used.refresh_token)
    const last = (await login(api, idle.user.email)).body.data
    refused(await refresh(api, idle.refresh_token))
    for (const session of [again, last]) await next(session.refresh_token)
    const live = { user_id: idle.user.id, rotated_at: null, revoked_at: null }
    expect(await world.knex('refresh_tokens').where(live)).to.have.length(100)
  })

  it('leaves in steps when it was long, its head last', async () => {
    const session = await openAccount(api)
    await lengthen(session, 1_500)
    await api('POST', '/auth/logout', { json: { refresh_token: session.refresh_token } })
    // 1,501 of the old family without 1,000; then the new ones only.
    for (const left of [502, 2]) {
      await login(api, session.user.email)
      expect(await tokensOf(session.user.id)).to.have.length(left)
    }
  })
})
