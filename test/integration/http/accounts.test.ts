import { availableParallelism } from 'node:os'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { inHashingTurn } from '../../../src/users/passwords.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { login as logIn, newEmail, openAccount, PASSWORD, type SessionData } from '../../support/sessions.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('accounts over HTTP', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const register = (email: unknown, password: unknown = PASSWORD, more: object = {}) =>
    api<SessionData>('POST', '/auth/register', { json: { email, password, ...more } })
  const login = (email: unknown, password: unknown = PASSWORD) => logIn(api, email, password)

  it('are made with the role user and a token that works', async () => {
    const email = newEmail()
    const reply = await register(email)
    expect(reply.status, reply.text).to.equal(201)
    expect(reply.body.data).to.include({ token_type: 'Bearer', expires_in: 900 })
    expect(reply.body.data.user).to.include({ email, role: 'user' })
    const me = await api('GET', '/users/me', { token: reply.body.data.access_token })
    expect(me.body.data).to.deep.equal(reply.body.data.user)
    expect(me.text).to.not.match(/password|hash|argon2/)
  })

  it('are logged in with the e-mail in any case, and shown in small letters', async () => {
    const email = newEmail()
    const made = await register(email.toUpperCase())
    expect(made.status, made.text).to.equal(201)
    expect(made.body.data.user.email).to.equal(email)
    for (const variant of [email, email.toUpperCase(), `A${email.slice(1)}`]) {
      const reply = await login(variant)
      expect(reply.status, reply.text).to.equal(200)
      expect(reply.body.data.user).to.deep.equal(made.body.data.user)
    }
  })

  it('are one for each e-mail, in whatever case it comes', async () => {
    const email = newEmail()
    await register(email)
    for (const variant of [email, email.toUpperCase()])
      expectRefusal(await register(variant, 'another password'), 409, 'EMAIL_TAKEN')
    expect((await login(email)).status).to.equal(200)
    expectRefusal(await login(email, 'another password'), 401, 'INVALID_CREDENTIALS')
  })

  it('come to one account when 200 registrations of one e-mail arrive at once', async () => {
    const email = newEmail()
    const variant = (i: number) =>
      email.replaceAll(/./g, (c, n: number) => ((i >> (n % 6)) & 1 ? c.toUpperCase() : c))
    const replies = await Promise.all(Array.from({ length: 200 }, (_, i) => register(variant(i))))
    const statuses = replies.map((reply) => `${reply.status} ${reply.body.error ?? ''}`.trim())
    expect(statuses.filter((status) => status === '201')).to.have.length(1)
    expect(statuses.filter((status) => status === '409 EMAIL_TAKEN')).to.have.length(199)
    expect(await world.knex('users').where({ email }).count()).to.deep.equal([{ count: 1 }])
  })

  it('answer a wrong password, an unknown e-mail and a disabled account alike', async () => {
    const known = await createAccount(world)
    const disabled = await createAccount(world)
    await world.knex('users').where({ id: disabled.id }).update({ disabled: true })
    const replies = [
      await login(known.email, `${known.password}x`),
      await login(newEmail(), known.password),
      await login(disabled.email, disabled.password),
    ]
    const shapes = replies.map(({ status, body }) => ({ status, ...body, request_id: '' }))
    expectRefusal(replies[0] as never, 401, 'INVALID_CREDENTIALS')
    expect(shapes[1]).to.deep.equal(shapes[0])
    expect(shapes[2]).to.deep.equal(shapes[0])
    expect((await login(known.email, known.password)).status).to.equal(200)
  })

  it('are told apart by the time of an answer as little as by its text', async () => {
    const known = await createAccount(world)
    const timeOf = async (email: string): Promise<number> => {
      const begin = performance.now()
      expectRefusal(await login(email, 'a wrong password'), 401, 'INVALID_CREDENTIALS')
      return performance.now() - begin
    }
    const times: { known: number[]; unknown: number[] } = { known: [], unknown: [] }
    for (let i = 0; i < 60; i++) {
      times.known.push(await timeOf(known.email))
      times.unknown.push(await timeOf(newEmail()))
    }
    expect(Math.abs(median(times.known) - median(times.unknown)), JSON.stringify(times)).to.be.below(5)
  })

  it('compare passwords byte for byte, far behind the 72nd', async () => {
    const pairs = [
      [`${'p'.repeat(72)}a`, `${'p'.repeat(72)}b`],
      [`${'密'.repeat(100)}a`, `${'密'.repeat(100)}b`],
      ['caf\u00e9 au lait', 'cafe\u0301 au lait'],
      ['full ｗidth', 'full width'],
      ['zero\u200bwidth!', 'zerowidth!'],
      ['line\nbreak is text', 'line break is text'],
    ] as const
    for (const [right, wrong] of pairs) {
      const email = newEmail()
      expect((await register(email, right)).status, right).to.equal(201)
      expectRefusal(await login(email, wrong), 401, 'INVALID_CREDENTIALS')
      expect((await login(email, right)).status).to.equal(200)
    }
  })

  it('take no password that could never be set, and do not ask the database about it', async () => {
    const { user } = await openAccount(api)
    for (const password of [`${PASSWORD}\u0000`, '\u0000', 'p'.repeat(129), '\ud800 half a pair', ''])
      for (const attempt of [login(user.email, password), register(newEmail(), password)])
        expectRefusal(await attempt, 400, 'VALIDATION_FAILED')
    expectRefusal(await login(user.email, 'p'.repeat(1_000_000)), 413, 'PAYLOAD_TOO_LARGE')
  })

  it('wait for a processor in a line that has an end', async () => {
    const { user, access_token: token } = await openAccount(api)
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    const line = []
    for (let i = 0; i < availableParallelism() + 256; i++) line.push(inHashingTurn(() => gate))
    try {
      expectRefusal(await login(user.email), 503, 'OVERLOADED')
      expectRefusal(await register(newEmail()), 503, 'OVERLOADED')
      const json = { current_password: PASSWORD, new_password: 'another password' }
      const change = await api('POST', '/users/me/password', { token, json })
      expectRefusal(change, 503, 'OVERLOADED')
      expect(Number(change.headers.get('retry-after'))).to.be.within(1, 60)
    } finally {
      open()
    }
    for (const turn of await Promise.all(line)) expect(turn.kind).to.equal('done')
    expect((await login(user.email)).status).to.equal(200)
  })

  it('check the password to the last character, and do not trim it', async () => {
    const email = newEmail()
    const long = `${'p'.repeat(100)} ünïcode 密码 `
    expect((await register(email, long)).status).to.equal(201)
    for (const wrong of [
      long.slice(0, 72),
      long.trim(),
      `${long} `,
      long.normalize('NFD'),
      long.toUpperCase(),
    ])
      expectRefusal(await login(email, wrong), 401, 'INVALID_CREDENTIALS')
    expect((await login(email, long)).status).to.equal(200)
  })

  it('lose their old tokens when they are disabled or gone', async () => {
    const disabled = await createAccount(world)
    const gone = await createAccount(world)
    for (const { token } of [disabled, gone])
      expect((await api('GET', '/users/me', { token })).status).to.equal(200)
    await world.knex('users').where({ id: disabled.id }).update({ disabled: true })
    await world.knex('users').where({ id: gone.id }).delete()
    for (const { token } of [disabled, gone])
      expectRefusal(await api('GET', '/users/me', { token }), 401, 'UNAUTHENTICATED')
  })

  it('can not be given a role, an id or anything else by whoever registers', async () => {
    const before = await stateOf(world)
    for (const more of [
      { role: 'admin' },
      { id: '018f0000-0000-7000-8000-000000000000' },
      { disabled: false },
      { password_hash: 'x' },
      { constructor: { prototype: { role: 'admin' } } },
      { created_at: '2020-01-01T00:00:00Z' },
    ])
      expectRefusal(await register(newEmail(), PASSWORD, more), 400, 'VALIDATION_FAILED')
    const raw = `{"email":"${newEmail()}","password":"${PASSWORD}","__proto__":{"role":"admin"}}`
    expectRefusal(await api('POST', '/auth/register', { raw }), 400, 'VALIDATION_FAILED')
    expect(await stateOf(world)).to.deep.equal(before)
  })

  it('are not made of input that is no e-mail or no password', async () => {
    const before = await stateOf(world)
    const emails = [
      '',
      'x',
      'x@',
      '@x.test',
      'a b@x.test',
      'a@x.test\n',
      `a\u0000@x.test`,
      null,
      1,
      {},
      ['a@x.test'],
    ]
    for (const email of [...emails, `${'a'.repeat(250)}@x.test`, { $ne: '' }, 'a@x.test, b@x.test'])
      expectRefusal(await register(email), 400, 'VALIDATION_FAILED')
    for (const password of [
      '',
      'short',
      'p'.repeat(129),
      'p'.repeat(15_000),
      null,
      1_234_567_890,
      {},
      [PASSWORD],
    ]) {
      expectRefusal(await register(newEmail(), password), 400, 'VALIDATION_FAILED')
    }
    expectRefusal(await api('POST', '/auth/register'), 400, 'VALIDATION_FAILED')
    expectRefusal(await api('POST', '/auth/login'), 400, 'VALIDATION_FAILED')
    expect(await stateOf(world)).to.deep.equal(before)
  })

  it('keep the password as an argon2id hash of its own', async () => {
    const emails = [newEmail(), newEmail()]
    for (const email of emails) await register(email)
    const hashes: { password_hash: string }[] = await world
      .knex('users')
      .whereIn('email', emails)
      .select('password_hash')
    for (const { password_hash: hash } of hashes)
      expect(hash).to.match(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(hashes[0]?.password_hash).to.not.equal(hashes[1]?.password_hash)
  })
})

function median(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN
}
