import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { issueToken, signToken, tokenKey } from '../../../src/users/tokens.ts'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { encodePart, forge, goodClaims, type Json } from '../../support/forging.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { openAccount } from '../../support/sessions.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const now = Math.floor(Date.now() / 1_000)

describe('a purchase with a token that is not right', () => {
  let world: World
  let api: Client
  let eventId: string
  let account: Account
  let good: Json
  let secret: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    account = await createAccount(world)
    eventId = await createSale(world)
    secret = world.config.jwtSecret
    good = goodClaims(account.id)
  })
  after(() => world.close())

  const hasEnded = async (token: string) => (await api('GET', '/orders', { token })).status === 401

  /** Sees that no door opens to these credentials. */
  async function refused(headers: Record<string, string>, query = ''): Promise<void> {
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    for (const [method, path] of [
      ['POST', `/spike-events/${eventId}/orders`],
      ['GET', `/reservations/${randomUUID()}`],
      ['GET', '/users/me'],
      ['POST', `/spike-events/${eventId}/pause`],
    ] as const)
      expectRefusal(await api(method, `${path}${query}`, { headers }), 401, 'UNAUTHENTICATED')
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  }

  it('is accepted when this very test forges it right, so that the refusals below mean something', async () => {
    const reply = await api('GET', '/users/me', { token: forge(secret, good) })
    expect(reply.status, reply.text).to.equal(200)
    expect(reply.body.data).to.include({ id: account.id })
  })

  it('is refused without a token, and with one that is no bearer token', async () => {
    const token = account.token
    await refused({})
    await refused({}, `?access_token=${token}`)
    for (const authorization of ['Bearer', 'Bearer ', token, `Basic ${token}`, 'Bearer a.b.c', 'Bearer ..'])
      await refused({ authorization })
    await refused({ cookie: `access_token=${token}; spike_dashboard=${token}` })
  })

  it('is refused when the token says that it needs no signature', async () => {
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '']) {
      const head = `${encodePart({ alg, typ: 'JWT' })}.${encodePart(good)}`
      await refused({ authorization: `Bearer ${head}.` })
      await refused({ authorization: `Bearer ${head}.${forge(secret, good).split('.')[2]}` })
    }
  })

  it('is refused with another algorithm, even under the right secret', async () => {
    for (const [alg, hash] of [
      ['HS512', 'sha512'],
      ['HS384', 'sha384'],
      ['RS256', 'sha256'],
    ] as const)
      await refused({ authorization: `Bearer ${forge(secret, good, { alg }, hash)}` })
  })

  it('is refused under another secret, and under the one that an attacker would guess', async () => {
    for (const other of [randomBytes(32).toString('hex'), '', 'secret', secret.slice(1), `${secret} `])
      await refused({ authorization: `Bearer ${forge(other, good)}` })
  })

  it('is not signed with a word that can be found by trying', () => {
    const [head, payload, signature] = account.token.split('.')
    const signed = (key: string) => createHmac('sha256', key).update(`${head}.${payload}`).digest('base64url')
    expect(signed(secret)).to.equal(signature)
    const words = [
      '',
      'secret',
      'password',
      'changeme',
      'jwt',
      'jwt_secret',
      'admin',
      'test',
      'dev',
      'flash-sale',
    ]
    for (const word of words)
      for (const key of [
        word,
        word.toUpperCase(),
        `${word}123`,
        `your-${word}`,
        word.padEnd(32, word || '0'),
      ])
        expect(signed(key), key).to.not.equal(signature)
  })

  it('is refused when the payload was edited and the signature kept', async () => {
    const [head, , signature] = forge(secret, good).split('.')
    for (const change of [{ role: 'admin' }, { sub: randomUUID() }, { exp: now + 10 * 365 * 86_400 }])
      await refused({ authorization: `Bearer ${head}.${encodePart({ ...good, ...change })}.${signature}` })
    for (const other of ['', '=', 'AA', 'none', 'A'.repeat(43), signature?.slice(0, -2)])
      await refused({ authorization: `Bearer ${head}.${encodePart(good)}.${other}` })
  })

  it('is refused when the token is over, not yet valid, or for ever', async () => {
    const { exp: _, ...forever } = good
    const times: Json[] = [
      { ...good, exp: now - 1 },
      { ...good, nbf: now + 3_600 },
      { ...good, nbf: String(now) },
      { ...good, exp: String(now + 3_600) },
      { ...good, exp: 1e99 },
      { ...good, exp: now + 3_600.5 },
      { ...good, exp: [now + 3_600] },
      { ...good, exp: null },
      forever,
    ]
    for (const payload of times) await refused({ authorization: `Bearer ${forge(secret, payload)}` })
  })

  it('is refused when the token was issued for something else or by somebody else', async () => {
    const session = await openAccount(api)
    const user = { id: account.id, role: 'user', token_version: 1 } as const
    for (const token of [
      issueToken(tokenKey(secret), user, 'dashboard'),
      session.refresh_token,
      session.device_token,
      signToken(tokenKey(secret), { role: 'user', ver: 1 }, 'device', account.id, 3_600),
    ])
      await refused({ authorization: `Bearer ${token}` })
    const { aud: _, ...anybody } = good
    for (const payload of [anybody, { ...good, iss: 'somebody' }, { ...good, aud: ['web'] }])
      await refused({ authorization: `Bearer ${forge(secret, payload)}` })
  })

  it('is refused when the claims are not of the shape that we issue', async () => {
    const odd: Json[] = [
      { sub: '1' },
      { sub: `${account.id}:x` },
      { sub: { $ne: null } },
      { sub: [account.id] },
      { role: 'root' },
      { role: ['admin'] },
      { ver: undefined },
      { ver: '1' },
      { ver: 1.5 },
      { ver: null },
    ]
    for (const change of odd)
      await refused({ authorization: `Bearer ${forge(secret, { ...good, ...change })}` })
  })
  it('is refused when the token is older than the last change of the account', async () => {
    const demoted = await createAccount(world, 'operator')
    const fresh = { ...good, sub: demoted.id, role: 'operator', ver: 2 }
    expect((await api('GET', '/users/me', { token: forge(secret, fresh) })).status).to.equal(200)
    const old = forge(secret, { ...fresh, ver: 1 })
    await until('the token to end', () => hasEnded(old))
    expectRefusal(await api('GET', '/users/me', { token: old }), 401, 'UNAUTHENTICATED')
    const buy = await api('POST', `/spike-events/${eventId}/orders`, { token: old, json: {} })
    expectRefusal(buy, 401, 'UNAUTHENTICATED')
    const report = await api('GET', `/spike-events/${eventId}/conservation`, { token: old })
    expectRefusal(report, 401, 'UNAUTHENTICATED')
  })

  it('is refused when the account is gone', async () => {
    const gone = await createAccount(world)
    await world.knex('users').where({ id: gone.id }).delete()
    await until('the token to end', () => hasEnded(gone.token))
    await refused({ authorization: `Bearer ${gone.token}` })
  })
})
