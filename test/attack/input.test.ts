import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { spikeKeys } from '../../src/reserve/keys.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { expectRefusal, type Ask, type Client } from '../support/http.ts'
import { newSku } from '../support/products.ts'
import { createWorld, type World } from '../support/world.ts'

const SQL = [
  "' OR '1'='1",
  "'; DROP TABLE users; --",
  '1) UNION SELECT password_hash FROM users --',
  "x'||(SELECT version())||'",
  '$1',
  '?',
  "\\'; SELECT pg_sleep(9); --",
]

describe('attacks through input', () => {
  let world: World
  let root: Client
  let api: Client
  let eventId: string
  let productId: string
  let buyer: LoadBuyer
  let admin: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    root = createAttackClient(world.apiUrl)
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    ;[buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    admin = (await createAccount(world, 'admin')).token
    eventId = await createSale(world)
    productId = await createProduct(world)
  })
  after(() => world.close())

  const nothing = <T>(run: () => Promise<T>) => unchanged(world, [eventId], run)
  const purchase = (ask: Ask) =>
    api('POST', `/spike-events/${eventId}/orders`, { token: buyer.access_token, ...ask })
  const bad = async (ask: Ask) => expectRefusal(await purchase(ask), 400, 'VALIDATION_FAILED')
  /** Milliseconds that an answer takes. */
  async function timeOf(run: () => Promise<unknown>): Promise<number> {
    const began = performance.now()
    await run()
    return performance.now() - began
  }

  attack('SQL in ids: 400', () =>
    nothing(async () => {
      for (const text of SQL)
        for (const path of [
          `/products/${encodeURIComponent(text)}`,
          `/spike-events/${encodeURIComponent(text)}`,
        ])
          expectRefusal(await api('GET', path), 400, 'VALIDATION_FAILED')
    }),
  )

  attack('SQL in sort and filters: 400', () =>
    nothing(async () => {
      for (const text of [...SQL, 'name,asc;--', 'name,asc nulls first', '(CASE WHEN 1=1 THEN name END),asc'])
        for (const field of ['sort', 'currency', 'min_price', 'page', 'page_size'])
          expectRefusal(
            await api('GET', `/products?${field}=${encodeURIComponent(text)}`),
            400,
            'VALIDATION_FAILED',
          )
    }),
  )

  attack('SQL and wildcards in a search: text like any other, finds nothing', () =>
    nothing(async () => {
      for (const text of [...SQL, '%', '_', '%25', '\\', '*', '.*', '%'.repeat(100)]) {
        const query = encodeURIComponent(text)
        const products = await api<{ total: number }>('GET', `/products?q=${query}`)
        expect([products.status, products.body.data.total], text).to.deep.equal([200, 0])
        const users = await api<{ total: number }>('GET', `/users?q=${query}`, { token: admin })
        expect([users.status, users.body.data.total], text).to.deep.equal([200, 0])
      }
    }),
  )

  attack('SQL and JSON paths in text that is stored: kept as text', async () => {
    for (const name of [...SQL, "{'a':1}", '$.role', '#>>{}']) {
      const json = { sku: newSku(), name, price: 1 }
      const made = await api<{ id: string; name: string }>('POST', '/products', { token: admin, json })
      expect(made.body.data.name).to.equal(name)
      expect((await api<{ name: string }>('GET', `/products/${made.body.data.id}`)).body.data.name).to.equal(
        name,
      )
    }
  })

  attack('objects and lists where text or numbers are expected: 400', () =>
    nothing(async () => {
      for (const value of ['{"$ne":null}', '{"$gt":0}', '["1"]', '{"toString":"x"}', '{"length":1}'])
        await bad({ raw: `{"quantity":${value}}` })
      for (const query of ['q[$ne]=x', 'q[]=x', 'q=a&q=b', 'sort[$gt]=', 'page[]=1', 'q.x=1'])
        expectRefusal(await api('GET', `/products?${query}`), 400, 'VALIDATION_FAILED')
    }),
  )

  attack(
    '__proto__ and constructor.prototype in a body or a query, in escapes too: 400, nothing polluted',
    () =>
      nothing(async () => {
        const dunder = '\\u005f\\u005fproto\\u005f\\u005f'
        for (const raw of [
          '{"quantity":1,"__proto__":{"polluted":1}}',
          `{"quantity":1,"${dunder}":{"polluted":1}}`,
          '{"__proto__":{"quantity":1}}',
          '{"quantity":1,"constructor":{"prototype":{"polluted":1}}}',
          '{"quantity":{"__proto__":{"polluted":1}}}',
          '{"__proto__":null,"quantity":1}',
        ])
          await bad({ raw })
        for (const query of [
          '__proto__[polluted]=1',
          '__proto__=1',
          'constructor[prototype][polluted]=1',
          '__proto__.polluted=1',
          '%5f%5fproto%5f%5f[polluted]=1',
        ])
          expectRefusal(await api('GET', `/products?${query}`), 400, 'VALIDATION_FAILED')
        expect(({} as { polluted?: unknown }).polluted).to.equal(undefined)
        expect(Object.keys(Object.prototype)).to.deep.equal([])
      }),
  )

  attack(
    'right-to-left, zero-width, emoji and four-byte text in a name: stored and returned intact',
    async () => {
      for (const name of [
        '\u202egnirts',
        'zero\u200bwidth',
        '👩‍👩‍👧‍👦 家族',
        '𝕏𠮷',
        'e\u0301 é',
        'שלום'.repeat(20),
        '\u2028line',
      ]) {
        const json = { sku: newSku(), name, price: 1 }
        const made = await api<{ id: string; name: string }>('POST', '/products', { token: admin, json })
        expect(made.status, made.text).to.equal(201)
        const read = await api<{ name: string }>('GET', `/products/${made.body.data.id}`)
        expect([made.body.data.name, read.body.data.name]).to.deep.equal([name, name])
      }
    },
  )

  attack('control characters, NUL and half of a surrogate pair in a name: 400', () =>
    nothing(async () => {
      for (const name of ['a\u0000b', 'a\u001b[31mb', 'a\rb', '\ud800', 'a\u009bb', '\u0085', ' ', ''])
        expectRefusal(
          await api('POST', '/products', { token: admin, json: { sku: newSku(), name, price: 1 } }),
          400,
          'VALIDATION_FAILED',
        )
    }),
  )

  attack(
    'markup in a name: stored as text, and served as JSON that no browser takes for a page',
    async () => {
      const name = '<img src=x onerror=alert(1)></script><script>alert(1)</script>'
      const json = { sku: newSku(), name, price: 1 }
      const made = await api<{ id: string }>('POST', '/products', { token: admin, json })
      const reply = await api<{ name: string }>('GET', `/products/${made.body.data.id}`)
      expect(reply.body.data.name).to.equal(name)
      expect(reply.headers.get('content-type')).to.match(/^application\/json/)
      expect(reply.headers.get('x-content-type-options')).to.equal('nosniff')
    },
  )

  attack('Redis keys and globs in the place of ids: 400 before any key is built', async () => {
    const keys = async () => (await world.redis.keys('*')).filter((key) => /evil|\*|\n/.test(key)).toSorted()
    const before = await keys()
    await nothing(async () => {
      for (const text of [
        `${eventId}:stock`,
        `${eventId}}:stock`,
        `{spike:${eventId}}`,
        '*',
        'evil*',
        `${eventId}\n`,
        `${eventId}\r\nSET evil 1`,
        `${eventId}\u0000`,
        `[${eventId}]`,
      ]) {
        const id = encodeURIComponent(text)
        for (const [method, path] of [
          ['POST', `/spike-events/${id}/orders`],
          ['GET', `/reservations/${id}`],
          ['GET', `/spike-events/${id}`],
        ] as const)
          expectRefusal(await api(method, path, { token: buyer.access_token }), 400, 'VALIDATION_FAILED')
      }
    })
    expect(await keys()).to.deep.equal(before)
    expect(await world.redis.get(spikeKeys(eventId).stock)).to.equal('10')
  })

  attack('an id in capitals as another key for the same event: the same event', async () => {
    const reply = await api<{ id: string }>('GET', `/spike-events/${eventId.toUpperCase()}`)
    expect([reply.status, reply.body.data.id]).to.deep.equal([200, eventId])
    expect(await world.redis.exists(spikeKeys(eventId.toUpperCase()).gate)).to.equal(0)
  })

  attack('patterns that make a bad regular expression run for ever: answered within a second', () =>
    nothing(async () => {
      const long = 15_000
      const runs = [
        () => api('GET', `/products?q=${'a'.repeat(100)}${encodeURIComponent('!'.repeat(100))}`),
        () => api('GET', `/products?sort=${'created_at,'.repeat(1_000)}`),
        () => api('GET', `/products?q=${encodeURIComponent('('.repeat(4_000))}`),
        ...[
          'a@'.repeat(7_000),
          'a.'.repeat(7_000),
          `${'a'.repeat(long)}@${'a.'.repeat(200)}`,
          `"${' '.repeat(long)}`,
        ].map(
          (email) => () =>
            api('POST', '/auth/login', { json: { email: email.slice(0, long), password: 'x' } }),
        ),
        () => purchase({ raw: `{"quantity":"${'\\\\'.repeat(5_000)}` }),
        () => purchase({ raw: `{"x":"${'\\"'.repeat(5_000)}` }),
        () => api('GET', '/nothing', { headers: { 'accept-language': 'a-'.repeat(5_000) } }),
        () => api('GET', '/nothing', { headers: { 'accept-language': 'en;q=0.1,'.repeat(1_000) } }),
        () => api('GET', `/products/${productId}`, { headers: { 'if-none-match': 'W/"x",'.repeat(2_000) } }),
        () => api('GET', '/users/me', { headers: { authorization: `Bearer ${' '.repeat(10_000)}x` } }),
        () => api('GET', '/users/me', { headers: { authorization: `Bearer ${'.'.repeat(10_000)}` } }),
        () => api('GET', '/products', { headers: { 'x-forwarded-for': '1,'.repeat(5_000) } }),
        () => api('GET', `/spike-events/${'0'.repeat(10_000)}`),
        () =>
          purchase({
            raw: '{"quantity":0}',
            headers: { 'content-type': `application/json;${' '.repeat(10_000)}x` },
          }),
      ]
      for (const [i, run] of runs.entries()) expect(await timeOf(run), `run ${i}`).to.be.below(1_000)
    }),
  )

  attack('paths out of the folder of the docs, in single and double escapes: 400 or 404', () =>
    nothing(async () => {
      for (const file of [
        '..%2f..%2fpackage.json',
        '%2e%2e%2f%2e%2e%2fpackage.json',
        '%252e%252e%252fpackage.json',
        '..%5c..%5cpackage.json',
        '%2fetc%2fpasswd',
        'index.html%00.css',
        '__proto__',
        'constructor',
        'package.json',
        'swagger-ui.css%2f..%2fpackage.json',
        'x'.repeat(101),
      ]) {
        const reply = await root('GET', `/docs/${file}`)
        expect([400, 404], file).to.include(reply.status)
        expect(reply.text).to.not.match(/"dependencies"|root:|swagger-ui-dist/)
      }
    }),
  )

  attack('escapes that are none, or twice escaped: 400 or 404', () =>
    nothing(async () => {
      for (const path of [
        '/products/%',
        '/products/%zz',
        '/products/%c0%ae',
        '/products/%2525',
        '/products/%ff',
      ])
        expect([400, 404], path).to.include((await api('GET', path)).status)
      for (const path of [`/products/${encodeURIComponent(encodeURIComponent(` ${productId}`))}`])
        expectRefusal(await api('GET', path), 400, 'VALIDATION_FAILED')
    }),
  )

  attack('a list of more items, or one product twice to slip past a check: 400', () =>
    nothing(async () => {
      const item = { product_id: productId, quantity: 1 }
      const twice = [item, { ...item, product_id: productId.toUpperCase() }]
      for (const items of [
        [],
        twice,
        Array.from({ length: 21 }, () => ({ ...item, product_id: randomUUID() })),
      ]) {
        const headers = { 'idempotency-key': randomUUID() }
        const reply = await api('POST', '/orders', { token: buyer.access_token, json: { items }, headers })
        expectRefusal(reply, 400, 'VALIDATION_FAILED')
      }
    }),
  )
})
