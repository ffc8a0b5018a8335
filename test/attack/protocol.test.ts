import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { answerBroken } from '../../src/http/broken-request.ts'
import { closeServer, listen } from '../../src/platform/http-server.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import type { Client } from '../support/http.ts'
import { expectHungUp, rawRequest, sendRaw, trickle, type RawAnswers } from '../support/raw-http.ts'
import { openSocket } from '../support/sockets.ts'
import { createWorld, type World } from '../support/world.ts'

const JSON_TYPE = 'Content-Type: application/json'

describe('attacks on the protocol', () => {
  let world: World
  let root: Client
  let api: Client
  let eventId: string
  let buyer: LoadBuyer
  let admin: string
  let slowHead: Promise<RawAnswers & { ms: number }>

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    root = createAttackClient(world.apiUrl)
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    ;[buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    admin = (await createAccount(world, 'admin')).token
    eventId = await createSale(world)
    // Takes as long as the server's limit: the last case looks at what came of it.
    slowHead = trickle(world.apiUrl, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')
  })
  after(() => world.close())

  const nothing = <T>(run: () => Promise<T>) => unchanged(world, [eventId], run)

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
    await expectHungUp(
      world.apiUrl,
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

  attack(
    '100 connections on which nothing is ever sent, to hold up a process that stops: it stops within 2 s',
    async () => {
      const held = await createWorld()
      const running = await held.start('api')
      const sockets = await Promise.all(Array.from({ length: 100 }, () => openSocket(held.apiUrl)))
      for (const socket of sockets.slice(50)) socket.write('GET /healthz HTTP/1.1\r\nHost: ')
      try {
        const began = Date.now()
        await running.stop()
        expect(Date.now() - began, 'ms to stop').to.be.below(2_000)
      } finally {
        for (const socket of sockets) socket.destroy()
        await held.close()
      }
    },
  )

  attack('a body that comes one byte at a time: 408 at the limit for a request, hung up', async () => {
    // The limit of 15 s is shortened for this one.
    const limits = { requestTimeout: 1_000, headersTimeout: 500, connectionsCheckingInterval: 100 }
    const waitForBody = async () => undefined
    const server = await listen(waitForBody, '127.0.0.1', 0, { onBroken: answerBroken, limits })
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const head = rawRequest('POST / HTTP/1.1', [JSON_TYPE, 'Content-Length: 1000'], '{"email":"')
      const { statuses, closed } = await trickle(url, head, 50)
      expect([statuses, closed]).to.deep.equal([[408], true])
    } finally {
      await closeServer(server)
    }
  })

  attack('headers that come one byte in half a second: 408 after 10 s, hung up', async function () {
    this.timeout(20_000)
    const { statuses, closed, ms } = await slowHead
    expect([statuses, closed]).to.deep.equal([[408], true])
    expect(ms).to.be.within(9_000, 13_000)
  })
})
