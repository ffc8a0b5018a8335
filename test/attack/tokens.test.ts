import { createHmac, generateKeyPairSync, randomBytes, randomUUID, sign, type KeyObject } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { ConfigError, loadConfig } from '../../src/platform/config.ts'
import { issueToken, tokenKey } from '../../src/users/tokens.ts'
import { createAccount, type Account } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { encodePart, forge, goodClaims, type Json } from '../support/forging.ts'
import { expectRefusal, type Client } from '../support/http.ts'
import { openAccount, refresh } from '../support/sessions.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks on access tokens', () => {
  let world: World
  let api: Client
  let eventId: string
  let account: Account
  let secret: string
  let good: Json
  const now = Math.floor(Date.now() / 1_000)

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    account = await createAccount(world)
    eventId = await createSale(world)
    secret = world.config.jwtSecret
    good = goodClaims(account.id)
    // The refusals below mean something only if a token that is forged right is taken.
    const reply = await api('GET', '/users/me', { token: forge(secret, good) })
    expect(reply.status, reply.text).to.equal(200)
  })
  after(() => world.close())

  /** Sees that no door opens to these credentials: a purchase, the own account, what admins do. */
  async function shut(headers: Record<string, string>, query = ''): Promise<void> {
    for (const [method, path] of [
      ['POST', `/spike-events/${eventId}/orders`],
      ['GET', '/users/me'],
      ['POST', `/spike-events/${eventId}/pause`],
    ] as const)
      expectRefusal(await api(method, `${path}${query}`, { headers }), 401, 'UNAUTHENTICATED')
  }
  const shutAll = (tokens: readonly string[]) =>
    unchanged(world, [eventId], async () => {
      for (const token of tokens) await shut({ authorization: `Bearer ${token}` })
    })

  /** A token signed with a private key, which says which key checks it. */
  function signed(algorithm: 'RS256' | 'ES256' | 'PS256', key: KeyObject, header: Json = {}): string {
    const head = `${encodePart({ alg: algorithm, typ: 'JWT', ...header })}.${encodePart(good)}`
    const signature = sign('sha256', Buffer.from(head), { key, dsaEncoding: 'ieee-p1363' })
    return `${head}.${signature.toString('base64url')}`
  }

  attack('alg none, in any case, with and without a signature: 401', () => {
    const kept = forge(secret, good).split('.')[2]
    const heads = ['none', 'None', 'nOnE', 'NONE', ''].map(
      (alg) => `${encodePart({ alg, typ: 'JWT' })}.${encodePart(good)}`,
    )
    return shutAll(heads.flatMap((head) => [`${head}.`, `${head}.${kept}`]))
  })

  attack('HS256 signed with a public RSA or EC key as if it were the secret: 401', () => {
    const keys = [
      generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey,
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey,
    ]
    return shutAll(
      keys.flatMap((key) => [
        forge(key.export({ type: 'spki', format: 'pem' }) as string, good),
        forge(key.export({ type: 'spki', format: 'der' }), good),
      ]),
    )
  })

  attack('RS256, PS256 and ES256 under a key of the attacker, which the token brings along: 401', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = rsa.publicKey.export({ format: 'jwk' })
    return shutAll([
      signed('RS256', rsa.privateKey, { jwk }),
      signed('PS256', rsa.privateKey, { jku: 'https://evil.example/keys', x5u: 'https://evil.example' }),
      signed('ES256', ec.privateKey, { jwk: ec.publicKey.export({ format: 'jwk' }) }),
      forge('mine', good, { jwk: { kty: 'oct', k: Buffer.from('mine').toString('base64url') } }),
    ])
  })

  attack('HS384 and HS512 under the right secret: 401', () =>
    shutAll([
      forge(secret, good, { alg: 'HS384' }, 'sha384'),
      forge(secret, good, { alg: 'HS512' }, 'sha512'),
    ]),
  )

  attack('a key id that points at a file or into SQL, signed with what is there: 401', () =>
    shutAll(
      ['/dev/null', '../../../../dev/null', "x' UNION SELECT '' --", ''].map((kid) =>
        forge('', good, { kid }),
      ),
    ),
  )

  attack('the payload edited, the signature kept: 401', () => {
    const [head, , signature] = forge(secret, good).split('.')
    const edits: Json[] = [{ role: 'admin' }, { sub: randomUUID() }, { exp: now + 10 * 365 * 86_400 }]
    return shutAll(edits.map((edit) => `${head}.${encodePart({ ...good, ...edit })}.${signature}`))
  })

  attack('the signature left out, cut, padded or written in another way: 401', () => {
    const [head, payload, signature = ''] = forge(secret, good).split('.')
    const last = signature.at(-1) ?? ''
    // 32 bytes leave two bits of the last letter unused: another letter stands for the same bytes.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const sibling = signature.slice(0, -1) + (alphabet[alphabet.indexOf(last) ^ 1] ?? '')
    expect(Buffer.from(sibling, 'base64url').equals(Buffer.from(signature, 'base64url'))).to.equal(true)
    const others = ['', '=', 'AA', signature.slice(0, -2), `${signature}=`, sibling, 'A'.repeat(43)]
    return shutAll(others.map((other) => `${head}.${payload}.${other}`))
  })

  attack('a token that is over since a second: 401', () =>
    shutAll([forge(secret, { ...good, exp: now - 1 })]),
  )

  attack('a token that is not valid yet: 401', () =>
    shutAll([
      forge(secret, { ...good, nbf: now + 3_600 }),
      forge(secret, { ...good, nbf: String(now + 3_600) }),
    ]),
  )

  attack('a token without an end: 401', () => {
    const { exp: _, ...forever } = good
    return shutAll([forge(secret, forever), forge(secret, { ...good, exp: null })])
  })

  attack('an end that is text, 1e99, half a second, or a list: 401', () =>
    shutAll(
      [String(now + 3_600), 1e99, now + 3_600.5, [now + 3_600], true].map((exp) =>
        forge(secret, { ...good, exp }),
      ),
    ),
  )

  attack('the wrong audience or none: 401', () => {
    const { aud: _, ...anybody } = good
    const audiences = ['web', ['web'], 'dashboard', 'device', ''].map((aud) => ({ ...good, aud }))
    return shutAll([anybody, ...audiences].map((claims) => forge(secret, claims)))
  })

  attack('the wrong issuer or none: 401', () => {
    const { iss: _, ...nobody } = good
    const issuers = ['somebody', 'flash-sale ', '', null].map((iss) => ({ ...good, iss }))
    return shutAll([nobody, ...issuers].map((claims) => forge(secret, claims)))
  })

  attack('a refresh, device or dashboard token in the place of an access token: 401', async () => {
    const session = await openAccount(api)
    const user = { id: account.id, role: 'user', token_version: 1 } as const
    await shutAll([
      session.refresh_token,
      session.device_token,
      issueToken(tokenKey(secret), user, 'dashboard'),
    ])
  })

  attack('an access token in the place of a refresh token: 401', async () => {
    const session = await openAccount(api)
    await unchanged(world, [], async () => {
      for (const token of [session.access_token, session.device_token, account.token])
        expectRefusal(await refresh(api, token), 401, 'INVALID_REFRESH_TOKEN')
    })
  })

  attack('a token of an account that is disabled or gone: 401', async () => {
    const disabled = await createAccount(world, 'admin')
    const gone = await createAccount(world, 'admin')
    await world.knex('users').where({ id: disabled.id }).update({ disabled: true })
    await world.knex('users').where({ id: gone.id }).delete()
    for (const { token } of [disabled, gone]) {
      const admin = await api('POST', `/spike-events/${eventId}/pause`, { token })
      expectRefusal(admin, 401, 'UNAUTHENTICATED')
      await until('the token to end', async () => (await api('GET', '/orders', { token })).status === 401)
    }
    await shutAll([disabled.token, gone.token])
  })

  attack('a role in the token that the account does not have: 403 at once where a role is wanted', () =>
    unchanged(world, [eventId], async () => {
      for (const role of ['operator', 'admin']) {
        const token = forge(secret, { ...good, role })
        for (const [method, path] of [
          ['GET', '/users'],
          ['POST', `/spike-events/${eventId}/pause`],
          ['GET', `/spike-events/${eventId}/conservation`],
        ] as const)
          expectRefusal(await api(method, path, { token }), 403, 'FORBIDDEN')
      }
    }),
  )

  attack('the token from before a demotion: 403 at once where a role is wanted', async () => {
    const admin = await createAccount(world, 'admin')
    expect((await api('GET', '/users', { token: admin.token })).status).to.equal(200)
    await world.knex('users').where({ id: admin.id }).update({ role: 'user' })
    expectRefusal(await api('GET', '/users', { token: admin.token }), 403, 'FORBIDDEN')
    const pause = await api('POST', `/spike-events/${eventId}/pause`, { token: admin.token })
    expectRefusal(pause, 403, 'FORBIDDEN')
  })

  attack('claims of another shape, under the right secret: 401', () =>
    shutAll(
      [
        { sub: '1' },
        { sub: `${account.id}:x` },
        { sub: { $ne: null } },
        { role: 'root' },
        { role: ['admin'] },
        { ver: undefined },
        { ver: '1' },
        { ver: 1.5 },
      ].map((change) => forge(secret, { ...good, ...change })),
    ),
  )

  attack('a token in the query, in a cookie, or under another scheme: 401', () =>
    unchanged(world, [eventId], async () => {
      const { token } = account
      for (const name of ['access_token', 'token', 'authorization', 'jwt'])
        await shut({}, `?${name}=${token}`)
      await shut({ cookie: `access_token=${token}; token=${token}; spike_dashboard=${token}` })
      for (const scheme of ['Basic', 'Token', 'JWT', 'Bearer:'])
        await shut({ authorization: `${scheme} ${token}` })
      await shut({ authorization: token })
      await shut({ 'x-access-token': token, 'x-authorization': `Bearer ${token}` })
    }),
  )

  attack('a secret that can be found by trying 10,000 words offline: none fits', async () => {
    const [head, payload, signature] = account.token.split('.')
    const signedWith = (key: string) =>
      createHmac('sha256', key).update(`${head}.${payload}`).digest('base64url')
    expect(signedWith(secret)).to.equal(signature)
    const words = wordList()
    expect(words).to.have.length.of.at.least(10_000)
    for (const word of words) expect(signedWith(word), word).to.not.equal(signature)
  })

  attack('a process started with a secret that could be guessed: it does not start', async () => {
    for (const [APP_ENV, name, value] of [
      ['prod', 'JWT_SECRET', 'secret'],
      ['prod', 'JWT_SECRET', 'x'.repeat(31)],
      ['prod', 'JWT_SECRET', ''],
      ['staging', 'JWT_SECRET', 'ü'.repeat(15)],
      ['prod', 'PAYMENT_SECRET', randomBytes(8).toString('hex')],
      ['staging', 'PAYMENT_SECRET', ''],
      ['dev', 'JWT_SECRET', ''],
    ] as const)
      expect(
        () => loadConfig({ ...world.env, RATE_LIMIT: 'on', APP_ENV, [name]: value }),
        `${APP_ENV} ${name}`,
      )
        .to.throw(ConfigError)
        .with.property('problems')
        .that.satisfies((problems: string[]) => problems.length === 1 && problems[0]?.startsWith(name))
    expect(loadConfig({ ...world.env, RATE_LIMIT: 'on', APP_ENV: 'prod' }).jwtSecret).to.equal(secret)
  })
})

/** Words that secrets are made of, as the lists of attackers have them. */
function wordList(): string[] {
  const words = ['', 'secret', 'password', 'changeme', 'jwt', 'jwt_secret', 'token', 'admin', 'test', 'dev']
  words.push('flash-sale', 'flashsale', 'spike', 'spike-dev-password', 'qwerty', 'letmein', 'supersecret')
  words.push('your-256-bit-secret', 'keyboard cat', 'shhhhh', 'default', 'root', 'master', 'node', 'koa')
  const forms = words.flatMap((word) => [
    word,
    word.toUpperCase(),
    `my-${word}`,
    word.padEnd(32, word || '0'),
  ])
  const ends = ['', '!', '123', '1234', ...Array.from({ length: 100 }, (_, i) => String(i + 1_930))]
  return forms.flatMap((form) => ends.map((end) => form + end))
}
