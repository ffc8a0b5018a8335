import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { login, openAccount, refresh } from '../../support/sessions.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

interface AccountData {
  id: string
  email: string
  role: string
  disabled: boolean
  created_at: string
  updated_at: string
}
interface Page {
  items: AccountData[]
  page: number
  page_size: number
  total: number
}

describe('accounts, as an admin sees them', () => {
  let world: World
  let api: Client
  let admin: Account

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  // Every test has its own admin, who is the only one.
  beforeEach(async () => {
    await world.knex('users').where({ role: 'admin' }).update({ role: 'user' })
    admin = await createAccount(world, 'admin')
  })

  const list = (query: string, token = admin.token) => api<Page>('GET', `/users?${query}`, { token })
  const patch = (id: string, json: unknown, token = admin.token) =>
    api<AccountData>('PATCH', `/users/${id}`, { token, json })

  async function emails(query: string): Promise<string[]> {
    const reply = await list(query)
    expect(reply.status, reply.text).to.equal(200)
    return reply.body.data.items.map(({ email }) => email)
  }

  describe('in a list', () => {
    it('have id, e-mail, role, state and times, and no hash', async () => {
      const account = await createAccount(world, 'operator')
      const reply = await list(`q=${account.email}`)
      const row = await world.knex('users').where({ id: account.id }).first()
      expect(reply.body.data).to.deep.equal({
        items: [
          {
            id: account.id,
            email: account.email,
            role: 'operator',
            disabled: false,
            created_at: row.created_at.toISOString(),
            updated_at: row.updated_at.toISOString(),
          },
        ],
        page: 1,
        page_size: 20,
        total: 1,
      })
      expect(reply.text).to.not.match(/password|hash|argon2|token_version/)
    })

    it('are found by a part of the e-mail, which is taken as it is written', async () => {
      const mark = randomUUID().slice(0, 8)
      const names = [`a_b-${mark}`, `axb-${mark}`, `a%b-${mark}`, `a\\b-${mark}`]
      for (const name of names)
        await world.knex('users').insert({ id: randomUUID(), email: `${name}@x.test`, password_hash: 'x' })
      for (const name of names)
        expect(await emails(`q=${encodeURIComponent(name)}`)).to.deep.equal([`${name}@x.test`])
      expect(await emails(`q=${mark.toUpperCase()}`)).to.have.length(4)
      for (const nothing of ["x' OR '1'='1", '%25%25%25', '___________________________________________'])
        expect(await emails(`q=${encodeURIComponent(nothing)}`)).to.deep.equal([])
    })

    it('are filtered by role and state, sorted and cut into pages', async () => {
      const mark = `page-${randomUUID().slice(0, 8)}`
      const row = (n: number) => ({
        id: randomUUID(),
        email: `${n}-${mark}@x.test`,
        password_hash: 'x',
        role: n < 2 ? 'operator' : 'user',
        disabled: n % 2 === 0,
        created_at: new Date(Date.UTC(2020, 0, 10 - n)),
      })
      await world.knex('users').insert([0, 1, 2, 3, 4].map(row))
      const numbers = async (query: string) =>
        (await emails(`q=${mark}&${query}`)).map((email) => Number(email[0]))
      expect(await numbers('')).to.deep.equal([0, 1, 2, 3, 4])
      expect(await numbers('sort=created_at,asc')).to.deep.equal([4, 3, 2, 1, 0])
      expect(await numbers('sort=email,desc')).to.deep.equal([4, 3, 2, 1, 0])
      expect(await numbers('role=operator')).to.deep.equal([0, 1])
      expect(await numbers('disabled=true')).to.deep.equal([0, 2, 4])
      expect(await numbers('disabled=false&role=user')).to.deep.equal([3])
      expect(await numbers('sort=email,asc&page=2&page_size=2')).to.deep.equal([2, 3])
      const far = await list(`q=${mark}&page=9&page_size=2`)
      expect(far.body.data).to.deep.equal({ items: [], page: 9, page_size: 2, total: 5 })
    })

    it('are not asked for in any other way', async () => {
      for (const query of [
        'sort=password_hash,asc',
        'sort=email',
        'sort=email,up',
        'role=root',
        'disabled=1',
        'q=',
        'q=%00',
        `q=${'x'.repeat(101)}`,
        'page=0',
        'page_size=101',
        'password_hash=x',
        'include=password_hash',
        'role=user&role=admin',
      ])
        expectRefusal(await list(query), 400, 'VALIDATION_FAILED')
    })
  })

  it('are the business of admins only', async () => {
    const target = await createAccount(world)
    const others = [await createAccount(world), await createAccount(world, 'operator')]
    const before = await stateOf(world)
    for (const { token } of others) {
      expectRefusal(await list('', token), 403, 'FORBIDDEN')
      expectRefusal(await patch(target.id, { role: 'admin' }, token), 403, 'FORBIDDEN')
    }
    expectRefusal(await api('GET', '/users'), 401, 'UNAUTHENTICATED')
    const nobody = await api('PATCH', `/users/${target.id}`, { json: { role: 'admin' } })
    expectRefusal(nobody, 401, 'UNAUTHENTICATED')
    expect(await stateOf(world)).to.deep.equal(before)
  })

  describe('when one is changed', () => {
    it('gets the role, which is written down with what it was before', async () => {
      const { user, access_token: old, refresh_token: refreshToken } = await openAccount(api)
      const reply = await api<AccountData>('PATCH', `/users/${user.id}`, {
        token: admin.token,
        json: { role: 'operator' },
        headers: { 'x-request-id': 'test-of-a-patch' },
      })
      expect(reply.status, reply.text).to.equal(200)
      expect(reply.body.data).to.include({ id: user.id, role: 'operator', disabled: false })
      expect(Date.parse(reply.body.data.updated_at)).to.be.above(Date.parse(reply.body.data.created_at))
      const audit = await world.knex('audit_log').where({ target: user.id })
      expect(audit).to.have.length(1)
      expect(audit[0]).to.deep.include({
        actor_id: admin.id,
        action: 'user.patch',
        before: { role: 'user', disabled: false },
        after: { role: 'operator', disabled: false },
        request_id: 'test-of-a-patch',
      })
      expectRefusal(await api('GET', '/orders', { token: old }), 401, 'UNAUTHENTICATED')
      expectRefusal(await refresh(api, refreshToken), 401, 'INVALID_REFRESH_TOKEN')
      const again = await login(api, user.email)
      expect(again.body.data.user).to.include({ role: 'operator' })
      expect((await api('GET', '/orders', { token: again.body.data.access_token })).status).to.equal(200)
    })

    it('loses everything at once when it is disabled, and its old sessions stay lost', async () => {
      const session = await openAccount(api)
      const { id, email } = session.user
      const off = await patch(id, { disabled: true })
      expect(off.body.data, off.text).to.include({ disabled: true, role: 'user' })
      const refusesAll = async () => {
        for (const path of ['/users/me', '/orders'])
          expectRefusal(await api('GET', path, { token: session.access_token }), 401, 'UNAUTHENTICATED')
        expectRefusal(await refresh(api, session.refresh_token), 401, 'INVALID_REFRESH_TOKEN')
      }
      await refusesAll()
      expectRefusal(await login(api, email), 401, 'INVALID_CREDENTIALS')
      expect((await patch(id, { disabled: false })).body.data).to.include({ disabled: false })
      await refusesAll()
      const again = await login(api, email)
      expect((await api('GET', '/orders', { token: again.body.data.access_token })).status).to.equal(200)
    })

    it('is no admin any more on routes of admins, with a token that says so', async () => {
      const other = await createAccount(world, 'admin')
      await patch(other.id, { role: 'operator' })
      expectRefusal(await list('', other.token), 403, 'FORBIDDEN')
      expectRefusal(await api('GET', '/users/me', { token: other.token }), 401, 'UNAUTHENTICATED')
      await patch(other.id, { role: 'admin' })
      expectRefusal(await list('', other.token), 401, 'UNAUTHENTICATED')
    })

    it('keeps its sessions when nothing changes', async () => {
      const { user, access_token: token, refresh_token: refreshToken } = await openAccount(api)
      const reply = await patch(user.id, { role: 'user', disabled: false })
      expect(reply.status, reply.text).to.equal(200)
      expect((await api('GET', '/orders', { token })).status).to.equal(200)
      expect((await refresh(api, refreshToken)).status).to.equal(200)
      expect(await world.knex('audit_log').where({ target: user.id })).to.deep.equal([])
    })

    it('is not changed in any other field, and not without one', async () => {
      const { id } = await createAccount(world)
      const before = await stateOf(world)
      for (const json of [
        undefined,
        {},
        { role: 'root' },
        { role: null },
        { disabled: 'true' },
        { disabled: 1 },
        { email: 'x@x.test' },
        { password_hash: 'x' },
        { role: 'operator', id: randomUUID() },
        { role: 'operator', token_version: 0 },
        [],
      ])
        expectRefusal(await patch(id, json), 400, 'VALIDATION_FAILED')
      const raw = '{"disabled":true,"__proto__":{"role":"admin"}}'
      const polluted = await api('PATCH', `/users/${id}`, { token: admin.token, raw })
      expectRefusal(polluted, 400, 'VALIDATION_FAILED')
      expectRefusal(await patch('me', { role: 'admin' }), 400, 'VALIDATION_FAILED')
      expectRefusal(await patch(randomUUID(), { role: 'admin' }), 404, 'NOT_FOUND')
      expect(await stateOf(world)).to.deep.equal(before)
    })
  })
})
