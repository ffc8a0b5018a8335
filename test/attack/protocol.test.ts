import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import type { Client } from '../support/http.ts'
import { rawRequest, sendRaw, trickle, type RawAnswers } from '../support/raw-http.ts'
import { openSocket } from '../support/sockets.ts'
import { createWorld, type World } from '../support/world.ts'

const JSON_TYPE = 'Content-Type: application/json'
const POST = 'POST /api/v1/auth/logout HTTP/1.1'

describe('attacks on the protocol', () => {
  let world: World
  let root: Client
  let api: Client
  let eventId: string
  let buyer: LoadBuyer
  let admin: string
  let slowHead: Promise<RawAnswers & { ms: number }>
  let slowBody: Promise<RawAnswers & { ms: number }>

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    root = createAttackClient(world.apiUrl)
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    ;[buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    admin = (await createAccount(world, 'admin')).token
    eventId = await createSale(world)
    // These take as long as the server's limits: the last cases look at what came of them.
    slowHead = trickle(world.apiUrl, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')
    slowBody = trickle(
      world.apiUrl,
      rawRequest('POST /api/v1/auth/login HTTP/1.1', [JSON_TYPE, 'Content-Length: 1000'], '{"email":"'),
    )
  })
  after(() => world.close())

  const nothing = <T>(run: () => Promise<T>) => unchanged(world, [eventId], run)
  /** A purchase that would be done if it were ever taken for a request of its own. */
  const hidden = () =>
    rawRequest(`POST /api/v1/spike-events/${eventId}/orders HTTP/1.1`, [
      `Authorization: Bearer ${buyer.access_token}`,
      'Content-Length: 0',
    ])

  /** Sees that there is one answer, that it is this, and that the server hangs up on the rest. */
  const hungUp = (requests: Record<string, string>, status: number) =>
    nothing(async () => {
      for (const [what, text] of Object.entries(requests)) {
        const { statuses, closed } = await sendRaw(world.apiUrl, Buffer.from(text, 'latin1'))
        expect([statuses, closed], what).to.deep.equal([[status], true])
      }
    })

  attack(
    'a request hidden behind two lengths, or a length and chunks: 400, hung up, nothing behind it is read',
    () => {
      const tail = `0\r\n\r\n${hidden()}`
      return hungUp(
        {
          'length, then chunks': rawRequest(
            POST,
            [JSON_TYPE, 'Content-Length: 4', 'Transfer-Encoding: chunked'],
            tail,
          ),
          'chunks, then length': rawRequest(
            POST,
            [JSON_TYPE, 'Transfer-Encoding: chunked', 'Content-Length: 4'],
            tail,
          ),
          'two lengths': rawRequest(
            POST,
            [JSON_TYPE, 'Content-Length: 2', 'Content-Length: 50'],
            `{}${hidden()}`,
          ),
          'the same twice': rawRequest(
            POST,
            [JSON_TYPE, 'Content-Length: 2', 'Content-Length: 2'],
            `{}${hidden()}`,
          ),
          'a list': rawRequest(POST, [JSON_TYPE, 'Content-Length: 2, 2'], `{}${hidden()}`),
        },
        400,
      )
    },
  )

  attack('a length with a sign, in hexadecimal, or beyond all numbers: 400, hung up', () =>
    hungUp(
      Object.fromEntries(
        ['+2', '-1', '0x2', '2.0', '1e1', '99999999999999999999', '2 2'].map((length) => [
          length,
          rawRequest(POST, [JSON_TYPE, `Content-Length: ${length}`], `{}${hidden()}`),
        ]),
      ),
      400,
    ),
  )

  attack('chunks announced in ways that proxies read differently: 400, hung up', () =>
    hungUp(
      Object.fromEntries(
        [
          'Transfer-Encoding: identity',
          'Transfer-Encoding: xchunked',
          'Transfer-Encoding: chunked, identity',
          'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
          'Transfer-Encoding : chunked',
          'Transfer-Encoding: \u000bchunked',
          'X: a\r\n\tTransfer-Encoding: chunked',
          'X: a\rTransfer-Encoding: chunked',
        ].map((header) => [header, rawRequest(POST, [JSON_TYPE, header], `0\r\n\r\n${hidden()}`)]),
      ),
      400,
    ),
  )

  attack('chunks whose sizes lie: 400, hung up', () =>
    hungUp(
      Object.fromEntries(
        [
          'FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n',
          '-2\r\n{}\r\n0\r\n\r\n',
          '2\r\n{}x\r\n0\r\n\r\n',
          '2\n{}\n0\n\n',
          '0x2\r\n{}\r\n0\r\n\r\n',
          '2\r\n{}\r\n0\r\nContent-Length: 100\r\n\r\n',
        ].map((chunks) => [
          JSON.stringify(chunks),
          rawRequest(POST, [JSON_TYPE, 'Transfer-Encoding: chunked'], chunks + hidden()),
        ]),
      ),
      400,
    ),
  )

  attack('chunk extensions without end: 413, hung up', () =>
    hungUp(
      {
        extensions: rawRequest(
          POST,
          [JSON_TYPE, 'Transfer-Encoding: chunked'],
          `2;${'x'.repeat(40_000)}\r\n{}`,
        ),
      },
      413,
    ),
  )

  attack('a request hidden in the body of one that is refused early: one answer', () =>
    nothing(async () => {
      const inBody = (line: string, more: string[] = []) =>
        rawRequest(line, [...more, `Content-Length: ${hidden().length}`], hidden())
      const large = `${'x'.repeat(20_000)}${hidden()}`
      for (const [text, status] of [
        [inBody('GET /api/v1/users/me HTTP/1.1'), 415],
        [inBody('POST /nothing HTTP/1.1', [JSON_TYPE]), 400],
        [inBody(POST, ['Content-Type: text/plain']), 415],
        [rawRequest(POST, [JSON_TYPE, `Content-Length: ${large.length}`], large), 413],
      ] as const) {
        const { statuses } = await sendRaw(world.apiUrl, text)
        expect(statuses, text.slice(0, 60)).to.deep.equal([status])
      }
    }),
  )

  attack('bare line feeds, NUL and control characters in the head: 400, hung up', () =>
    hungUp(
      {
        'line feeds': `${POST}\nHost: x\nContent-Length: 0\n\n`,
        'NUL in the path': rawRequest('GET /healthz\u0000 HTTP/1.1'),
        'a space in the path': rawRequest('GET /health z HTTP/1.1'),
        'NUL in a header': rawRequest('GET /healthz HTTP/1.1', ['X: a\u0000b']),
        'a control character in a key': rawRequest(POST, ['Idempotency-Key: a\u0001b']),
        'a header without a name': rawRequest('GET /healthz HTTP/1.1', [': x']),
      },
      400,
    ),
  )

  attack('other protocols on the port: 400, hung up', () =>
    hungUp(
      {
        TLS: '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
        SSH: 'SSH-2.0-OpenSSH_9.0\r\n',
        'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'HTTP/3.0': 'GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n',
        Redis: '*1\r\n$4\r\nPING\r\n',
        'a small method': rawRequest('get /healthz HTTP/1.1'),
      },
      400,
    ),
  )

  attack('TRACE, CONNECT, PROPFIND and methods that nobody knows: never served', () =>
    nothing(async () => {
      for (const method of ['TRACE', 'PROPFIND', 'MKCOL', 'PURGE', 'PUT', 'DELETE']) {
        const { text } = await sendRaw(
          world.apiUrl,
          rawRequest(`${method} /api/v1/users HTTP/1.1`, [`Authorization: Bearer ${admin}`, 'X-Echo: evil']),
        )
        expect(text, method)
          .to.match(/^HTTP\/1\.1 405 /)
          .and.not.include('evil')
      }
      const tunnel = await sendRaw(world.apiUrl, rawRequest('CONNECT evil.example:443 HTTP/1.1'))
      expect([tunnel.text, tunnel.closed]).to.deep.equal(['', true])
    }),
  )

  attack('an upgrade to h2c or a websocket to get past the checks: no upgrade, the checks stand', () =>
    nothing(async () => {
      for (const protocol of ['h2c', 'websocket', 'TLS/1.2']) {
        const headers = ['Connection: Upgrade', `Upgrade: ${protocol}`, 'Sec-WebSocket-Version: 13']
        const { statuses } = await sendRaw(world.apiUrl, rawRequest('GET /api/v1/users HTTP/1.1', headers))
        expect(statuses, protocol).to.deep.equal([401])
      }
    }),
  )

  attack(
    'an Authorization header twice, the bad one first or the good one: the first counts, and no mix',
    () =>
      nothing(async () => {
        const [good, bad] = [`Authorization: Bearer ${admin}`, 'Authorization: Bearer x.y.z']
        const ask = (...headers: string[]) =>
          sendRaw(world.apiUrl, rawRequest('GET /api/v1/users HTTP/1.1', headers))
        expect((await ask(bad, good)).statuses).to.deep.equal([401])
        expect((await ask(good, bad)).statuses).to.deep.equal([200])
      }),
  )

  attack('another host named in any header or in the request line: in no answer', async () => {
    const headers = {
      'x-forwarded-host': 'evil.example',
      'x-host': 'evil.example',
      'x-forwarded-server': 'evil.example',
      forwarded: 'host=evil.example',
      'x-forwarded-proto': 'evil.example',
    }
    const json = { items: [{ product_id: await createProduct(world), quantity: 1 }] }
    const order = await api('POST', '/orders', {
      token: buyer.access_token,
      json,
      headers: { ...headers, 'idempotency-key': 'evil-host-test' },
    })
    expect(order.headers.get('location')).to.match(/^\/api\/v1\/orders\/[0-9a-f-]{36}$/)
    const lines = [
      'GET http://evil.example/api/v1/products HTTP/1.1',
      'GET //evil.example/api/v1/products HTTP/1.1',
      'GET /nothing HTTP/1.1',
      'GET /docs HTTP/1.1',
      'GET /openapi.json HTTP/1.1',
      'OPTIONS * HTTP/1.1',
    ]
    for (const line of lines) {
      const raw = `${line}\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n\r\n`
      expect((await sendRaw(world.apiUrl, raw)).text, line).to.not.include('evil.example')
    }
  })

  attack('a foreign host in the request line to get past a right: the path counts', () =>
    nothing(async () => {
      for (const line of [
        'GET http://localhost/api/v1/users',
        'GET http://evil.example/api/v1/users?/healthz',
      ])
        expect((await sendRaw(world.apiUrl, rawRequest(`${line} HTTP/1.1`))).statuses).to.deep.equal([401])
    }),
  )

  attack('dots, backslashes and fragments in the path to reach another route: 404', () =>
    nothing(async () => {
      for (const path of [
        '/docs/../api/v1/users',
        '/api/v1/products/../users',
        '/api/v1/products/..%2fusers',
        '/api\\v1\\users',
        '/healthz/../metrics',
        '/healthz;/metrics',
      ]) {
        const { statuses } = await sendRaw(
          world.apiUrl,
          rawRequest(`GET ${path} HTTP/1.1`, [`Authorization: Bearer ${admin}`]),
        )
        expect([404, 400], path).to.include(statuses[0])
      }
    }),
  )

  attack(
    'a private answer under the name of a file, so that a cache keeps it: not there, and no-store on the real one',
    () =>
      nothing(async () => {
        const token = buyer.access_token
        for (const path of [
          '/users/me/x.css',
          '/users/me.css',
          '/users/me;x.css',
          '/users/me%2fx.css',
          '/users/me%0ax.css',
        ])
          expect([404, 405], path).to.include((await api('GET', path, { token })).status)
        for (const path of ['/users/me', '/orders'])
          for (const reply of [await api('GET', path, { token }), await api('GET', path)])
            expect(reply.headers.get('cache-control'), `${path} ${reply.status}`).to.equal('no-store')
        const login = await api('POST', '/auth/login', { json: {} })
        expect(login.headers.get('cache-control')).to.equal('no-store')
      }),
  )

  attack(
    'line breaks for a header of the attacker’s own, in every escape: never in an answer’s head',
    async () => {
      const evil = 'abcdefgh%0d%0aSet-Cookie:%20evil=1'
      for (const reply of [
        await root('GET', '/healthz', { headers: { 'x-request-id': evil } }),
        await api('GET', `/products?sort=${evil}`),
        await api('GET', `/orders/${evil}`, { token: buyer.access_token }),
        await root('GET', `/docs/${evil}`),
        await root('GET', `/${evil}`),
      ]) {
        expect(reply.headers.getSetCookie()).to.deep.equal([])
        expect(reply.headers.get('x-request-id')).to.match(/^[0-9a-f-]{36}$/)
        expect(JSON.stringify([...reply.headers])).to.not.include('evil')
      }
    },
  )

  attack('a request id of markup, quotes, 10,000 letters or another language: replaced', async () => {
    for (const id of [
      '<script>alert(1)</script>',
      '"},{"level":60',
      'x'.repeat(10_000),
      'ünïcödé-id',
      '../../etc',
      '${jndi:ldap://x}',
    ]) {
      const reply = await root('GET', '/healthz', { headers: { 'x-request-id': id } })
      expect(reply.headers.get('x-request-id')).to.match(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
      expect(reply.body.request_id).to.equal(reply.headers.get('x-request-id'))
    }
  })

  attack('a URL or a header beyond 16 KiB: 431, hung up; below it 404', async () => {
    await hungUp(
      {
        URL: rawRequest(`GET /${'x'.repeat(20_000)} HTTP/1.1`),
        query: rawRequest(`GET /api/v1/products?q=${'x'.repeat(20_000)} HTTP/1.1`),
        cookie: rawRequest('GET /healthz HTTP/1.1', [`Cookie: ${'x'.repeat(20_000)}`]),
        'many headers': rawRequest('GET /healthz HTTP/1.1', Array(3_000).fill('X-Header: value')),
      },
      431,
    )
    const long = await sendRaw(world.apiUrl, rawRequest(`GET /${'x'.repeat(15_000)} HTTP/1.1`))
    expect(long.statuses).to.deep.equal([404])
  })

  attack(
    '3,000 tiny headers in front of those of our proxy, so that these are dropped: they count all the same',
    async () => {
      const limited = await createWorld({ TRUST_PROXY: 'on' })
      const key = `${limited.config.namespace}:limit:login-address:198.51.100.77`
      try {
        await limited.start('api')
        const headers = [
          ...Array(3_000).fill('a:'),
          JSON_TYPE,
          'Content-Length: 2',
          'X-Forwarded-For: 198.51.100.77',
        ]
        const { statuses } = await sendRaw(
          limited.apiUrl,
          rawRequest('POST /api/v1/auth/login HTTP/1.1', headers, '{}'),
        )
        expect(statuses).to.deep.equal([400])
        expect(await limited.redis.get(key)).to.equal('1')
      } finally {
        await limited.close()
      }
    },
  )

  attack('300 connections that send half a head: others are served meanwhile', async () => {
    const sockets = await Promise.all(Array.from({ length: 300 }, () => openSocket(world.apiUrl)))
    try {
      for (const socket of sockets) socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nX-')
      const began = performance.now()
      for (let i = 0; i < 10; i++) expect((await root('GET', '/healthz')).status).to.equal(200)
      expect((performance.now() - began) / 10, 'ms for an answer').to.be.below(200)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })

  attack('headers that come one byte in half a second: 408 after 10 s, hung up', async function () {
    this.timeout(20_000)
    const { statuses, closed, ms } = await slowHead
    expect([statuses, closed]).to.deep.equal([[408], true])
    expect(ms).to.be.within(9_000, 13_000)
  })

  attack('a body that comes one byte in half a second: 408 after 15 s, hung up', async function () {
    this.timeout(20_000)
    const { statuses, closed, ms } = await slowBody
    expect([statuses, closed]).to.deep.equal([[408], true])
    expect(ms).to.be.within(14_000, 18_000)
  })
})
