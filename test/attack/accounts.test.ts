import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { createAccount } from '../factories/accounts.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { expectRefusal, type Client } from '../support/http.ts'
import { login, newEmail, openAccount, PASSWORD, type SessionData } from '../support/sessions.ts'
import { createWorld, type World } from '../support/world.ts'

const WRONG = 'a wrong password'

describe('attacks on accounts', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const register = (json: unknown) => api<SessionData>('POST', '/auth/register', { json })

  attack(
    'users told apart by status or text of a login: one answer for unknown, wrong, disabled',
    async () => {
      const [known, disabled] = [await createAccount(world), await createAccount(world)]
      await world.knex('users').where({ id: disabled.id }).update({ disabled: true })
      const replies = [
        await login(api, known.email, WRONG),
        await login(api, newEmail(), WRONG),
        await login(api, disabled.email, disabled.password),
      ]
      const shapes = replies.map(({ status, body }) => ({ status, ...body, request_id: '' }))
      for (const reply of replies) expectRefusal(reply, 401, 'INVALID_CREDENTIALS')
      expect(shapes[1]).to.deep.equal(shapes[0])
      expect(shapes[2]).to.deep.equal(shapes[0])
    },
  )

  attack('users told apart by the time of a login, over 200 tries: medians within 5 ms', async () => {
    const [known, disabled] = [await createAccount(world), await createAccount(world)]
    await world.knex('users').where({ id: disabled.id }).update({ disabled: true })
    const kinds = [() => known.email, newEmail, () => disabled.email]
    const times: number[][] = kinds.map(() => [])
    for (let i = 0; i < 201; i++) {
      const began = performance.now()
      expectRefusal(await login(api, kinds[i % 3]?.(), WRONG), 401, 'INVALID_CREDENTIALS')
      times[i % 3]?.push(performance.now() - began)
    }
    const medians = times.map((of) => of.toSorted((a, b) => a - b)[33] ?? Number.NaN)
    expect(Math.max(...medians) - Math.min(...medians), medians.join(' ')).to.be.below(5)
  })

  attack('passwords of 1 MB, with NUL or half a surrogate pair: 413 or 400 before any work', () =>
    unchanged(world, [], async () => {
      const email = newEmail()
      expectRefusal(await login(api, email, 'p'.repeat(1_000_000)), 413, 'PAYLOAD_TOO_LARGE')
      for (const password of [
        `${PASSWORD}\u0000`,
        'p'.repeat(129),
        '\ud800 half of a pair',
        '',
        ' '.repeat(12),
      ])
        for (const reply of [await login(api, email, password), await register({ email, password })])
          expectRefusal(reply, 400, 'VALIDATION_FAILED')
    }),
  )

  attack('a password that agrees in the first 72 bytes, or in another Unicode form: 401', async () => {
    const right = `${'p'.repeat(80)} café ｗide\u200b`
    const { user } = (await register({ email: newEmail(), password: right })).body.data
    for (const wrong of [
      right.slice(0, 72),
      `${right.slice(0, 72)}${'x'.repeat(20)}`,
      right.normalize('NFD'),
      right.normalize('NFKC'),
      right.replace('\u200b', ''),
      right.toUpperCase(),
      ` ${right}`,
    ])
      expectRefusal(await login(api, user.email, wrong), 401, 'INVALID_CREDENTIALS')
    expect((await login(api, user.email, right)).status).to.equal(200)
  })

  attack('a registration that brings its own role, id, balance or prototype: 400', () =>
    unchanged(world, [], async () => {
      const account = () => ({ email: newEmail(), password: PASSWORD })
      for (const more of [
        { role: 'admin' },
        { id: '018f0000-0000-7000-8000-000000000000' },
        { balance: 1_000_000 },
        { disabled: false },
        { token_version: 9 },
        { password_hash: '$argon2id$' },
        { constructor: { prototype: { role: 'admin' } } },
      ])
        expectRefusal(await register({ ...account(), ...more }), 400, 'VALIDATION_FAILED')
      for (const name of ['__proto__', '\\u005f\\u005fproto\\u005f\\u005f']) {
        const raw = `{"email":"${newEmail()}","password":"${PASSWORD}","${name}":{"role":"admin"}}`
        expectRefusal(await api('POST', '/auth/register', { raw }), 400, 'VALIDATION_FAILED')
      }
    }),
  )

  attack('200 registrations of one e-mail at once, in many cases: one account', async () => {
    const email = newEmail()
    const variant = (i: number) =>
      email.replaceAll(/[a-z]/g, (letter, n: number) => ((i >> (n % 8)) & 1 ? letter.toUpperCase() : letter))
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, i) => register({ email: variant(i), password: PASSWORD })),
    )
    expect(replies.filter(({ status }) => status === 201)).to.have.length(1)
    for (const reply of replies) if (reply.status !== 201) expectRefusal(reply, 409, 'EMAIL_TAKEN')
    expect(await world.knex('users').whereILike('email', email)).to.have.length(1)
  })

  attack('an e-mail that only looks like one that is taken: another account, or 400', async () => {
    const { user } = await openAccount(api)
    await unchanged(world, [], async () => {
      for (const email of [
        user.email.replace('a', 'а'), // Cyrillic
        user.email.replace('s', 'ſ'),
        user.email.replace('k', '\u212a'), // the sign of Kelvin, which is "k" in small letters
        `${user.email}\u200b`,
        ` ${user.email}`,
        `${user.email}\r\nBcc: x@x.test`,
      ])
        expectRefusal(await register({ email, password: PASSWORD }), 400, 'VALIDATION_FAILED')
    })
  })

  attack('SQL, NoSQL and LDAP in a login: 400 or 401, nobody gets in', () =>
    unchanged(world, [], async () => {
      for (const email of [
        "' OR 1=1 --",
        '*',
        '*)(uid=*))(|(uid=*',
        { $ne: '' },
        { $gt: '' },
        ['a@x.test'],
        null,
      ])
        expectRefusal(await login(api, email), 400, 'VALIDATION_FAILED')
      for (const email of ["a'or'1'--@x.test", "admin'--@spike.test"])
        expectRefusal(await login(api, email), 401, 'INVALID_CREDENTIALS')
      for (const password of [{ $ne: '' }, [''], true, 0, null])
        expectRefusal(await login(api, 'admin@spike.test', password), 400, 'VALIDATION_FAILED')
    }),
  )

  attack('credentials in a query or in a form: 405 or 415', async () => {
    const { user } = await openAccount(api)
    const query = new URLSearchParams({ email: user.email, password: PASSWORD }).toString()
    expectRefusal(await api('GET', `/auth/login?${query}`), 405, 'METHOD_NOT_ALLOWED')
    expectRefusal(await api('POST', `/auth/login?${query}`), 400, 'VALIDATION_FAILED')
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    expectRefusal(await api('POST', '/auth/login', { raw: query, headers }), 415, 'UNSUPPORTED_MEDIA_TYPE')
  })

  attack(
    'a password changed with a stolen access token alone: 401 without the current password',
    async () => {
      const { access_token: token, user } = await openAccount(api)
      await unchanged(world, [], async () => {
        const change = (json: object) => api('POST', '/users/me/password', { token, json })
        const right = { current_password: WRONG, new_password: 'another password' }
        expectRefusal(await change(right), 401, 'INVALID_CREDENTIALS')
        expectRefusal(await change({ new_password: 'another password' }), 400, 'VALIDATION_FAILED')
        expectRefusal(await change({ ...right, user_id: user.id }), 400, 'VALIDATION_FAILED')
      })
    },
  )
})
