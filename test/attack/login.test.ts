import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { createAccount } from '../factories/accounts.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { expectRefusal, type Client, type Reply } from '../support/http.ts'
import { login, newEmail, openAccount, PASSWORD, type SessionData } from '../support/sessions.ts'
import { createWorld, type World } from '../support/world.ts'

const WRONG = 'a wrong password'

/** How many answers have each status. */
function tally(replies: readonly Reply<unknown>[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { status } of replies) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** Sends many tries, fifty at a time. */
async function tries<T>(count: number, one: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let i = 0; i < count; i += 50)
    results.push(...(await Promise.all(Array.from({ length: 50 }, (_, n) => one(i + n)))))
  return results
}

describe('attacks on logins from one address', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld()
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  attack(
    '1,000 pairs of e-mail and password stuffed: 30 are looked at, the right one behind them not',
    async () => {
      const victim = await createAccount(world)
      const replies = await tries(1_000, () => login(api, newEmail(), WRONG))
      expect(tally(replies)).to.deep.equal({ 401: 30, 429: 970 })
      const late = await login(api, victim.email, victim.password)
      expectRefusal(late, 429, 'RATE_LIMITED')
      expect(Number(late.headers.get('retry-after'))).to.be.within(1, 60)
    },
  )

  attack(
    'headers that claim another address each time, where no proxy is trusted: not read, 429',
    async () => {
      const headers = [
        'x-forwarded-for',
        'x-real-ip',
        'forwarded',
        'true-client-ip',
        'cf-connecting-ip',
        'x-client-ip',
      ]
      for (const [i, name] of headers.entries()) {
        const address = name === 'forwarded' ? `for=203.0.113.${i}` : `203.0.113.${i}`
        const reply = await login(api, newEmail(), WRONG, { headers: { [name]: address } })
        expectRefusal(reply, 429, 'RATE_LIMITED')
      }
    },
  )

  attack(
    'registrations and changes of passwords as another door to guess at: the same window, 429',
    async () => {
      const account = await createAccount(world)
      await unchanged(world, [], async () => {
        const json = { email: account.email, password: 'long enough password' }
        expectRefusal(await api('POST', '/auth/register', { json }), 429, 'RATE_LIMITED')
        const change = { current_password: WRONG, new_password: 'another password' }
        const reply = await api('POST', '/users/me/password', { token: account.token, json: change })
        expectRefusal(reply, 429, 'RATE_LIMITED')
      })
    },
  )
})

describe('attacks on logins from many addresses', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ TRUST_PROXY: 'on' })
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  let addresses = 0
  const somewhere = () => ({ 'x-forwarded-for': `2001:db8:${(addresses++).toString(16)}::1` })
  const loginFrom = (
    headers: Record<string, string>,
    email: string,
    password: string,
    deviceToken?: string,
  ) => login(api, email, password, { headers, ...(deviceToken === undefined ? {} : { deviceToken }) })

  async function guessAt(email: string): Promise<void> {
    const replies = await tries(100, () => loginFrom(somewhere(), email, WRONG))
    expect(tally(replies)).to.deep.equal({ 401: 50, 429: 50 })
  }

  attack('one account guessed at from 100 addresses: 50 tries, then 429', async () => {
    const { email, password } = await createAccount(world)
    await guessAt(email)
    const late = await loginFrom(somewhere(), email.toUpperCase(), password)
    expectRefusal(late, 429, 'RATE_LIMITED')
    expect(Number(late.headers.get('retry-after'))).to.be.within(1, 900)
  })

  attack('a victim locked out by guesses of others: still gets in from a known device', async () => {
    const { user, device_token: device } = await openAccount(api)
    const thief = await openAccount(api)
    await guessAt(user.email)
    expectRefusal(await loginFrom(somewhere(), user.email, PASSWORD), 429, 'RATE_LIMITED')
    const foreign = await loginFrom(somewhere(), user.email, PASSWORD, thief.device_token)
    expectRefusal(foreign, 429, 'RATE_LIMITED')
    expect((await loginFrom(somewhere(), user.email, PASSWORD, device)).status).to.equal(200)
    expect((await loginFrom(somewhere(), thief.user.email, PASSWORD)).status, 'other accounts').to.equal(200)
  })

  attack(
    'one password on 1,000 accounts from 1,000 addresses: refused past 3,000 tries a minute of all',
    async () => {
      const key = `${world.config.namespace}:limit:login-all:strangers`
      await world.redis.set(key, 2_970, 'EX', 60)
      const replies = await tries(1_000, (i) => loginFrom(somewhere(), `user-${i}@spike.test`, WRONG))
      expect(tally(replies)).to.deep.equal({ 401: 30, 429: 970 })
      await world.redis.unlink(key)
    },
  )

  attack('addresses that the client writes before those of the proxy: the last one counts', async () => {
    const replies = []
    for (let i = 0; i < 31; i++) {
      const headers = { 'x-forwarded-for': `203.0.113.${i}, 198.51.100.9` }
      replies.push(await loginFrom(headers, newEmail(), WRONG))
    }
    expect(tally(replies)).to.deep.equal({ 401: 30, 429: 1 })
  })
})

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
    expect(tally(replies)).to.deep.equal({ 201: 1, 409: 199 })
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
