import { createHash, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { issueDeviceToken } from '../../../src/users/device-token.ts'
import { createLoginLimit, type LoginTry } from '../../../src/users/login-limit.ts'
import { signToken, tokenKey } from '../../../src/users/tokens.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { Proxy } from '../../support/proxy.ts'
import { login as logIn, newEmail, openAccount, PASSWORD, refresh } from '../../support/sessions.ts'
import { until } from '../../support/wait.ts'
import { createWorld, serverUrls, type World } from '../../support/world.ts'

const WRONG = 'a wrong password'

describe('how often a password may be tried', () => {
  let world: World
  let api: Client
  let proxy: Proxy

  before(async () => {
    const { REDIS_URL } = serverUrls()
    proxy = await Proxy.before(REDIS_URL)
    world = await createWorld({ TRUST_PROXY: 'on', REDIS_URL: proxy.urlOf(REDIS_URL) })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(async () => {
    await world.close()
    await proxy.cut()
  })

  beforeEach(async () => {
    const keys = await limitKeys()
    if (keys.length > 0) await world.redis.unlink(...keys)
  })

  const limitKeys = () => world.redis.keys(`${world.config.namespace}:limit:*`)
  /** An address that nobody has come from before. */
  let addresses = 0
  const newAddress = (): string => `2001:db8:${(addresses++).toString(16)}::1`
  const login = (email: string, password: string, deviceToken?: string, ip = newAddress()) =>
    logIn(api, email, password, {
      ...(deviceToken === undefined ? {} : { deviceToken }),
      headers: { 'x-forwarded-for': ip },
    })

  function expectLimited(reply: Reply<unknown>, longestS: number): void {
    expectRefusal(reply, 429, 'RATE_LIMITED')
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, longestS)
  }

  /** Guesses until the account takes no more from strangers. */
  async function lockOut(account: { email: string }): Promise<void> {
    const replies = []
    for (let i = 0; i < 50; i++) replies.push(await login(account.email, WRONG))
    expect(replies.every((reply) => reply.status === 401)).to.equal(true)
    expectLimited(await login(account.email, WRONG), 900)
  }

  it('is 10 times a minute on one account from one address, in whatever case the e-mail comes', async () => {
    const account = await createAccount(world)
    const ip = newAddress()
    const email = (i: number) => (i % 2 === 0 ? account.email : account.email.toUpperCase())
    for (let i = 0; i < 10; i++)
      expectRefusal(await login(email(i), WRONG, undefined, ip), 401, 'INVALID_CREDENTIALS')
    // The addresses of one /64 are one subscriber.
    for (const same of [ip, ip.replace('::1', '::2')])
      expectLimited(await login(account.email, account.password, undefined, same), 60)
    expect((await login(account.email, account.password)).status).to.equal(200)
    const other = await createAccount(world)
    expect((await login(other.email, other.password, undefined, ip)).status).to.equal(200)
  })

  it('is 50 times in 15 minutes on one account from everywhere, known or not', async () => {
    for (const account of [await createAccount(world), { email: newEmail(), password: WRONG }]) {
      await lockOut(account)
      expectLimited(await login(account.email, account.password), 900)
    }
    const other = await createAccount(world)
    expect((await login(other.email, other.password)).status).to.equal(200)
  })

  it('holds for guesses that come all at once', async () => {
    const account = await createAccount(world)
    const replies = await Promise.all(Array.from({ length: 80 }, () => login(account.email, WRONG)))
    const statuses = replies.map((reply) => reply.status)
    expect(statuses.filter((status) => status === 401)).to.have.length(50)
    expect(statuses.filter((status) => status === 429)).to.have.length(30)
  })

  it('is not used up by those who know the password', async () => {
    const account = await createAccount(world)
    for (let i = 0; i < 55; i++)
      expect((await login(account.email, account.password)).status, `login ${i}`).to.equal(200)
    await lockOut(account)
  })

  it('is 3000 times a minute for all strangers together', async () => {
    const { user, device_token: deviceToken } = await openAccount(api)
    const key = `${world.config.namespace}:limit:login-all:strangers`
    await world.redis.set(key, 2_999, 'EX', 60)
    expectRefusal(await login(newEmail(), WRONG), 401, 'INVALID_CREDENTIALS')
    expectLimited(await login(newEmail(), WRONG), 60)
    expectLimited(await login(user.email, PASSWORD), 60)
    expect((await login(user.email, PASSWORD, deviceToken)).status).to.equal(200)
  })

  it('is a matter of 10 times a minute for a device of the account, whatever strangers do', async () => {
    const { user, refresh_token: refreshToken, device_token: registered } = await openAccount(api)
    const loggedIn = (await login(user.email, PASSWORD)).body.data.device_token
    const refreshed = (await refresh(api, refreshToken)).body.data.device_token
    await lockOut(user)
    expectLimited(await login(user.email, PASSWORD), 900)
    for (const device of [registered, loggedIn, refreshed]) {
      const reply = await login(user.email.toUpperCase(), PASSWORD, device)
      expect(reply.status, reply.text).to.equal(200)
    }
    // One of its ten tries was the right one above.
    for (let i = 0; i < 9; i++)
      expectRefusal(await login(user.email, WRONG, loggedIn), 401, 'INVALID_CREDENTIALS')
    expectLimited(await login(user.email, PASSWORD, loggedIn), 60)
    expect((await login(user.email, PASSWORD, refreshed)).status).to.equal(200)
  })

  it('is 50 times in 15 minutes for all devices of an account, however many logins have made', async () => {
    const { user } = await openAccount(api)
    const other = await openAccount(api)
    const devices = []
    for (let i = 0; i < 8; i++) devices.push((await login(user.email, PASSWORD)).body.data.device_token)
    const [last, ...guessing] = devices as [string, ...string[]]
    // Right ones are given back, so they are not among the fifty.
    for (const device of devices) expect((await login(user.email, PASSWORD, device)).status).to.equal(200)
    const replies = []
    for (let i = 0; i < 50; i++) replies.push(await login(user.email, WRONG, guessing[i % guessing.length]))
    expect(replies.every((reply) => reply.status === 401)).to.equal(true)
    for (const device of [last, guessing[0]]) expectLimited(await login(user.email, PASSWORD, device), 900)
    expect((await login(user.email, PASSWORD)).status, 'without a token').to.equal(200)
    const foreign = await login(other.user.email, PASSWORD, other.device_token)
    expect(foreign.status, 'of another account').to.equal(200)
  })

  it('is not counted for registrations, of which there are 1200 a minute from everywhere', async () => {
    const key = `${world.config.namespace}:limit:login-register:all`
    const register = (email: string) =>
      api('POST', '/auth/register', {
        json: { email, password: PASSWORD },
        headers: { 'x-forwarded-for': newAddress() },
      })
    const account = await createAccount(world)
    await world.redis.set(key, 1_198, 'EX', 60)
    expectRefusal(await register(account.email), 409, 'EMAIL_TAKEN')
    expect((await register(newEmail())).status).to.equal(201)
    const late = newEmail()
    expectLimited(await register(late), 60)
    expectLimited(await register(account.email), 60)
    expect(await world.knex('users').where({ email: late })).to.have.length(0)
    expect((await login(account.email, account.password)).status).to.equal(200)
  })

  it('is that of a stranger with a device token that is not good for the account', async () => {
    const { user, access_token: accessToken, device_token: deviceToken } = await openAccount(api)
    const other = await openAccount(api)
    await lockOut(user)
    const key = tokenKey(world.config.jwtSecret)
    const account = createHash('sha256').update(user.email).digest('base64url')
    const device = { jti: randomUUID() }
    for (const token of [
      other.device_token,
      accessToken,
      `${deviceToken}x`,
      deviceToken.slice(0, deviceToken.lastIndexOf('.') + 1),
      '',
      'x',
      issueDeviceToken(tokenKey('x'.repeat(32)), user.email, randomUUID()),
      issueDeviceToken(key, other.user.email, randomUUID()),
      signToken(key, device, 'api', account, 3_600),
      signToken(key, device, 'device', user.id, 3_600),
      signToken(key, device, 'device', account, -1),
      signToken(key, {}, 'device', account, 3_600),
      signToken(key, { jti: '*' }, 'device', account, 3_600),
    ])
      expectLimited(await login(user.email, PASSWORD, token), 900)
    // The way in which this test forges them is right.
    const good = signToken(key, device, 'device', account, 3_600)
    expect((await login(user.email, PASSWORD, good)).status).to.equal(200)
  })

  it('is 10 times a minute for whoever holds a session, and takes nothing from logins', async () => {
    const { user, access_token: token } = await openAccount(api)
    const change = (current: string) =>
      api('POST', '/users/me/password', {
        token,
        json: { current_password: current, new_password: 'another password' },
        headers: { 'x-forwarded-for': newAddress() },
      })
    for (let i = 0; i < 10; i++) expectRefusal(await change(WRONG), 401, 'INVALID_CREDENTIALS')
    expectLimited(await change(PASSWORD), 60)
    expect((await login(user.email, PASSWORD)).status).to.equal(200)
  })

  it('is counted under names that tell nothing of the account', async () => {
    const account = await createAccount(world)
    await login(account.email, account.password)
    await login('{evil}:*@x.test', WRONG)
    const keys = await limitKeys()
    expect(keys.some((key) => key.includes('login-account'))).to.equal(true)
    for (const key of keys) expect(key).to.not.match(/@|spike\.test|evil/)
    for (const key of keys) expect(await world.redis.pttl(key), key).to.be.within(1, 900_000)
  })

  it('is never while Redis is down: nobody guesses uncounted', async () => {
    const { user, access_token: token, device_token: deviceToken } = await openAccount(api)
    await proxy.cut()
    try {
      const register = { email: newEmail(), password: PASSWORD }
      const change = { current_password: PASSWORD, new_password: 'another password' }
      for (const reply of [
        await login(user.email, PASSWORD),
        await login(user.email, PASSWORD, deviceToken),
        await api('POST', '/auth/register', { json: register }),
        await api('POST', '/users/me/password', { token, json: change }),
      ]) {
        expectRefusal(reply, 503, 'NOT_READY')
        expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
      }
      const limit = createLoginLimit({
        enabled: true,
        redis: world.redis,
        namespace: world.config.namespace,
        log: world.log,
      })
      const { email } = user
      const tries: LoginTry[] = [
        { by: 'device', email, device: randomUUID() },
        { by: 'owner', userId: user.id },
        { by: 'registration' },
        { by: 'stranger', email, ip: '203.0.113.1' },
      ]
      for (const attempt of tries) expect(await limit(attempt)).to.deep.equal({ kind: 'not_ready' })
    } finally {
      await proxy.restore()
    }
    await until('logins to be possible again', async () => (await login(user.email, PASSWORD)).status === 200)
    expect(await world.knex('users').where({ email: user.email })).to.have.length(1)
  })
})
