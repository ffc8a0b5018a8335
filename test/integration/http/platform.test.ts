import { request } from 'node:http'
import { once } from 'node:events'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

const ORIGIN = 'https://shop.example'

describe('every answer of the API', () => {
  let world: World
  let root: Client
  let api: Client

  before(async () => {
    world = await createWorld({ CORS_ORIGINS: `https://other.example, ${ORIGIN}` })
    await world.start('api')
    root = createClient(world.apiUrl)
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  it('says 404 in the envelope where there is no route', async () => {
    for (const path of ['/', '/nothing', '/api', '/api/v1', '/api/v1/nothing', '/api/v2/products', '/.env'])
      for (const method of ['GET', 'POST', 'DELETE'])
        expectRefusal(await root(method, path), 404, 'NOT_FOUND')
    for (const path of ['/api/v1/%2e%2e/products', '/api/v1/products/%2e%2e%2f/x', '/api/v1//products'])
      expectRefusal(await root('GET', path), 404, 'NOT_FOUND')
  })

  it('says 405 where the route does not take the method, and names those that it takes', async () => {
    const wrong: [string, string, string[]][] = [
      ['DELETE', '/products', ['GET', 'HEAD', 'POST']],
      ['PUT', '/products/1', ['GET', 'HEAD', 'PATCH', 'DELETE']],
      ['PUT', '/spike-events', ['GET', 'HEAD', 'POST']],
      ['GET', '/auth/login', ['POST']],
      ['DELETE', '/users/me', ['GET', 'HEAD', 'PATCH']], // PATCH is that of /users/:id
      ['GET', '/payments/callback', ['POST']],
    ]
    for (const [method, path, allowed] of wrong) {
      const reply = await api(method, path)
      expectRefusal(reply, 405, 'METHOD_NOT_ALLOWED')
      expect((reply.headers.get('allow') ?? '').split(', ')).to.have.members(allowed)
    }
    expectRefusal(await root('POST', '/healthz'), 405, 'METHOD_NOT_ALLOWED')
  })

  it('speaks the language that the client prefers, English when it has none of ours', async () => {
    const texts: [string, RegExp][] = [
      ['zh-CN', /[一-鿿]/],
      ['zh', /[一-鿿]/],
      ['zh-CN,zh;q=0.9,en;q=0.8', /[一-鿿]/],
      ['fr, zh-CN;q=0.5', /[一-鿿]/],
      ['en', /^There is no/],
      ['en-US,en;q=0.9,zh-CN;q=0.8', /^There is no/],
      ['en;q=0.5, zh;q=0.4', /^There is no/],
      ['fr', /^There is no/],
      ['*', /^There is no/],
      ['zh;q=0', /^There is no/],
      [';;;,', /^There is no/],
    ]
    for (const [language, text] of texts) {
      const reply = await api('GET', '/nothing', { headers: { 'accept-language': language } })
      expectRefusal(reply, 404, 'NOT_FOUND')
      expect(reply.body.message, language).to.match(text)
      expect(reply.headers.get('vary')).to.match(/accept-language/i)
    }
  })

  it('has the request id of its caller when that is harmless, and else a new one', async () => {
    for (const id of ['abcdefgh', 'a-b_c-1234', 'x'.repeat(64)]) {
      const reply = await root('GET', '/healthz', { headers: { 'x-request-id': id } })
      expect(reply.headers.get('x-request-id')).to.equal(id)
      expect(reply.body.request_id).to.equal(id)
    }
    const made = new Set<string | null>()
    for (const id of [
      'short',
      'x'.repeat(65),
      'has space here',
      '"quoted-id"',
      '<script>abc',
      'a,b,c,d,e,f',
      '',
    ]) {
      const reply = await root('GET', '/healthz', { headers: { 'x-request-id': id } })
      expect(reply.headers.get('x-request-id')).to.match(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
      made.add(reply.headers.get('x-request-id'))
    }
    expect(made.size).to.equal(7)
  })

  it('says how to authenticate where a token is missing', async () => {
    for (const token of [undefined, 'no.good.token']) {
      const reply = await api('GET', '/users/me', { token, headers: { origin: ORIGIN } })
      expectRefusal(reply, 401, 'UNAUTHENTICATED')
      expect(reply.headers.get('www-authenticate')).to.equal('Bearer')
      expect(reply.headers.get('access-control-expose-headers')).to.match(/WWW-Authenticate/)
    }
    const forbidden = await api('POST', '/auth/login', {
      json: { email: 'a@spike.test', password: 'x'.repeat(10) },
    })
    expectRefusal(forbidden, 401, 'INVALID_CREDENTIALS')
    expect(forbidden.headers.get('www-authenticate')).to.equal(null)
  })

  it('may be read by the origins that are listed and by no other', async () => {
    const good = await api('GET', '/products', { headers: { origin: ORIGIN } })
    expect(good.headers.get('access-control-allow-origin')).to.equal(ORIGIN)
    expect(good.headers.get('access-control-expose-headers'))
      .to.match(/Location/)
      .and.to.match(/Retry-After/)
    for (const origin of [
      'https://evil.example',
      `${ORIGIN}.evil.example`,
      'http://shop.example',
      'null',
      '*',
    ]) {
      const reply = await api('GET', '/products', { headers: { origin } })
      expect(reply.status).to.equal(200)
      expect(reply.headers.get('access-control-allow-origin'), origin).to.equal(null)
      expect(reply.headers.get('vary')).to.match(/origin/i)
    }
    const refusal = await api('GET', '/nothing', { headers: { origin: ORIGIN } })
    expect(refusal.headers.get('access-control-allow-origin')).to.equal(ORIGIN)
    expect(refusal.headers.get('access-control-allow-credentials')).to.equal(null)
  })

  it('to a preflight names the methods for listed origins only', async () => {
    const ask = (origin: string) =>
      api('OPTIONS', '/auth/login', {
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type',
        },
      })
    const good = await ask(ORIGIN)
    expect(good.status).to.equal(204)
    expect(good.headers.get('access-control-allow-methods')).to.include('POST')
    expect(good.headers.get('access-control-allow-headers')).to.include('authorization')
    expect(good.headers.get('access-control-max-age')).to.equal('600')
    const bad = await ask('https://evil.example')
    expect(bad.headers.get('access-control-allow-origin')).to.equal(null)
    expect(bad.headers.get('access-control-allow-methods')).to.equal(null)
  })

  it('carries the headers that keep browsers from doing harm, and does not say what it is made of', async () => {
    for (const path of ['/healthz', '/nothing', '/api/v1/products', '/api/v1/users/me']) {
      const { headers } = await root('GET', path)
      expect(headers.get('x-content-type-options'), path).to.equal('nosniff')
      expect(headers.get('content-security-policy'), path).to.include("default-src 'self'")
      expect(headers.get('strict-transport-security'), path).to.match(/max-age=\d+/)
      expect(headers.get('x-frame-options'), path).to.equal('SAMEORIGIN')
      expect(headers.get('content-type'), path).to.match(/^application\/json/)
      expect(headers.get('x-powered-by'), path).to.equal(null)
    }
  })

  it('on /healthz and /readyz says what is well', async () => {
    const health = await root('GET', '/healthz')
    expect(health.status).to.equal(200)
    expect(health.body).to.deep.include({ code: 0, data: { status: 'ok' } })
    const ready = await root('GET', '/readyz')
    expect(ready.status, ready.text).to.equal(200)
    expect(ready.body.data).to.deep.equal({
      status: 'ready',
      checks: { postgres: 'ok', redis: 'ok', rabbitmq: 'ok' },
    })
  })

  it('survives requests that are no HTTP a browser would send', async () => {
    for (const [method, path, headers] of [
      ['GET', '/api/v1/products?%', {}],
      ['GET', '/api/v1/products?a[b][c]=1&a[__proto__]=2', {}],
      ['FROBNICATE', '/api/v1/products', {}],
      ['GET', '/api/v1/products', { accept: 'image/png' }],
      ['POST', '/api/v1/auth/login', { 'content-type': 'application/json', 'content-length': '0' }],
      ['GET', `/api/v1/products?${'x'.repeat(15_000)}=1`, {}],
      ['GET', '/api/v1/products', { cookie: 'x'.repeat(20_000) }],
    ] as [string, string, Record<string, string>][]) {
      const status = await rawStatus(world.apiUrl, method, path, headers)
      expect(status, `${method} ${path.slice(0, 40)}`).to.be.within(200, 499)
    }
    expect((await root('GET', '/healthz')).status).to.equal(200)
  })
})

/** Sends what fetch would refuse to send. */
async function rawStatus(
  base: string,
  method: string,
  path: string,
  headers: Record<string, string>,
): Promise<number> {
  const { hostname, port } = new URL(base)
  const outgoing = request({ hostname, port, method, path, headers, agent: false })
  outgoing.end()
  const [response] = await once(outgoing, 'response')
  response.resume()
  return response.statusCode
}
