import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { createAccount } from '../factories/accounts.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { expectRefusal, type Client, type Reply } from '../support/http.ts'
import { login, newEmail, openAccount, PASSWORD } from '../support/sessions.ts'
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
