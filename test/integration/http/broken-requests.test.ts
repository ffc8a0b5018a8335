import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { answerBroken } from '../../../src/http/broken-request.ts'
import { closeServer, listen } from '../../../src/platform/http-server.ts'
import { createClient, expectRefusal, readEnvelope, type Client } from '../../support/http.ts'
import { exchange, openSocket, repliesOf, type RawReply } from '../../support/sockets.ts'
import { createWorld, type World } from '../../support/world.ts'

function expectRaw(reply: RawReply | undefined, status: number, error: string): void {
  if (reply === undefined) throw new Error('no answer')
  expectRefusal({ ...reply, body: readEnvelope(reply.text) }, status, error)
  expect(reply.headers.get('content-type')).to.match(/^application\/json/)
  expect(reply.headers.get('connection')).to.equal('close')
}

describe('what is no request', () => {
  let world: World
  before(async () => {
    world = await createWorld()
    await world.start('api')
  })
  after(() => world.close())

  const head = 'GET /healthz HTTP/1.1\r\nHost: x\r\n'
  for (const [what, text] of [
    ['garbage', 'hello there\r\n\r\n'],
    ['a header without a colon', `${head}bad header\r\n\r\n`],
    ['a control character in a header', `${head}Idempotency-Key: a\u0001b\r\n\r\n`],
    ['two lengths that differ', `${head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`],
    ['a length and chunks', `${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['another protocol', 'GET / HTTP/9.9\r\nHost: x\r\n\r\n'],
    ['a TLS handshake', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000'],
  ] as const)
    it(`gets 400 in the envelope, and its connection is closed: ${what}`, async () => {
      const replies = await exchange(world.apiUrl, text)
      expect(replies).to.have.length(1)
      expectRaw(replies[0], 400, 'VALIDATION_FAILED')
    })

  it('gets 431 for headers over 16 KiB', async () => {
    const [reply] = await exchange(world.apiUrl, `${head}Cookie: ${'x'.repeat(20_000)}\r\n\r\n`)
    expectRaw(reply, 431, 'HEADERS_TOO_LARGE')
  })
})

describe('what is HTTP, and no request to this API', () => {
  let world: World
  before(async () => {
    world = await createWorld()
    await world.start('api')
  })
  after(() => world.close())

  const close = 'Host: x\r\nConnection: close\r\n'
  for (const target of ['http://[', 'http://[::1/', 'http://xn--a/'])
    it(`gets 400 in the envelope, with all headers, and is counted: ${target}`, async () => {
      const root = createClient(world.apiUrl)
      const counted = async () => {
        const { text } = await root('GET', '/metrics')
        return Number(
          /^http_requests_total{method="GET",route="none",status="400"} (\d+)$/m.exec(text)?.[1] ?? 0,
        )
      }
      const before = await counted()
      const replies = await exchange(world.apiUrl, `GET ${target} HTTP/1.1\r\n${close}\r\n`)
      expect(replies).to.have.length(1)
      expectRaw(replies[0], 400, 'VALIDATION_FAILED')
      expect(replies[0]?.headers.get('x-content-type-options')).to.equal('nosniff')
      expect(replies[0]?.headers.get('content-security-policy')).to.include("default-src 'self'")
      expect(await counted()).to.equal(before + 1)
    })

  it('is answered as if it expected nothing, whatever it expects', async () => {
    for (const expected of ['foo', '100-continue, foo']) {
      const replies = await exchange(
        world.apiUrl,
        `GET /healthz HTTP/1.1\r\n${close}Expect: ${expected}\r\n\r\n`,
      )
      const reply = replies.at(-1) // 100 may come before it
      expect(reply?.status).to.equal(200)
      expect(readEnvelope(reply?.text ?? '')).to.deep.include({ code: 0, data: { status: 'ok' } })
    }
  })
})

describe('a request that takes too long to arrive', () => {
  let server: Server
  let url: string

  before(async () => {
    const handler = async () => undefined // a handler that still waits for the body
    const limits = { headersTimeout: 200, requestTimeout: 400, connectionsCheckingInterval: 50 }
    server = await listen(handler, '127.0.0.1', 0, { onBroken: answerBroken, limits })
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  after(() => closeServer(server))

  for (const [what, text] of [
    ['its headers', 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: '],
    ['its body', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"a":'],
  ] as const)
    it(`gets 408 in the envelope, and is hung up on: ${what}, a byte at a time`, async () => {
      const socket = await openSocket(url)
      socket.write(text)
      const drip = setInterval(() => socket.write('x'), 20)
      try {
        const [reply] = await repliesOf(socket)
        expectRaw(reply, 408, 'REQUEST_TIMEOUT')
      } finally {
        clearInterval(drip)
      }
    })
})

describe('a body that asks for too much', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const post = (raw: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    api('POST', '/auth/login', { raw, headers })
  const gzip = { 'content-encoding': 'gzip' }

  it('gets 413 when it is longer than 16 KiB, also inflated', async () => {
    expectRefusal(await post(JSON.stringify({ email: 'x'.repeat(17_000) })), 413, 'PAYLOAD_TOO_LARGE')
    expectRefusal(await post(`[${'1,'.repeat(5_000_000)}1]`), 413, 'PAYLOAD_TOO_LARGE')
    const bomb = gzipSync(Buffer.alloc(50_000_000, ' '))
    const before = process.memoryUsage().rss
    for (let i = 0; i < 5; i++)
      expectRefusal(await post(new Uint8Array(bomb), gzip), 413, 'PAYLOAD_TOO_LARGE')
    expect(process.memoryUsage().rss - before).to.be.below(200_000_000)
  })

  it('may be compressed', async () => {
    const json = gzipSync(JSON.stringify({ email: 'nobody@spike.test', password: 'wrong password' }))
    expectRefusal(await post(new Uint8Array(json), gzip), 401, 'INVALID_CREDENTIALS')
    expectRefusal(await post('{}', gzip), 400, 'VALIDATION_FAILED')
    expectRefusal(await post('{}', { 'content-encoding': 'zip' }), 415, 'UNSUPPORTED_MEDIA_TYPE')
  })

  it('gets 400 when it is nested deeper than 32 levels or names a field twice', async () => {
    const deep = await post('{"a":'.repeat(2_000) + '1' + '}'.repeat(2_000))
    expectRefusal(deep, 400, 'VALIDATION_FAILED')
    expect(deep.body.data).to.deep.equal({
      fields: [{ field: 'body', problem: 'is nested more than 32 levels deep' }],
    })
    const twice = await post('{"email":"a@spike.test","password":"x","email":"b@spike.test"}')
    expectRefusal(twice, 400, 'VALIDATION_FAILED')
    expect(twice.text).to.include('names a field twice')
  })

  it('gets 415 when it is no JSON in UTF-8', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/xml',
      'application/jsonx',
      'application/json; charset=utf-7',
      'application/json; charset=iso-8859-1',
      'json',
    ])
      expectRefusal(await post('{}', { 'content-type': type }), 415, 'UNSUPPORTED_MEDIA_TYPE')
    for (const type of [
      'application/json',
      'application/json; charset=UTF-8',
      'Application/JSON;charset="utf-8"',
    ])
      expectRefusal(await post('{}', { 'content-type': type }), 400, 'VALIDATION_FAILED')
  })
})
