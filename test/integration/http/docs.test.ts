import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { openApiDocument } from '../../../src/http/contract/openapi.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the page of the API', () => {
  let world: World
  let root: Client

  before(async () => {
    world = await createWorld()
    await world.start('api')
    root = createClient(world.apiUrl)
  })
  after(() => world.close())

  it('has nothing inline, and loads its files from this process only', async () => {
    for (const path of ['/docs', '/docs/']) {
      const page = await root('GET', path)
      expect(page.headers.get('content-type')).to.equal('text/html; charset=utf-8')
      expect(page.text).to.not.match(/<script(?![^>]*src=)|<style|\son\w+=|javascript:|https?:/i)
      const links = [...page.text.matchAll(/(?:src|href)="([^"]*)"/g)].map((match) => match[1] ?? '')
      expect(links).to.have.length(4)
      for (const link of links) expect((await root('GET', link)).status, link).to.equal(200)
    }
  })

  it('lets the browser run what this process serves and nothing else, also without TLS', async () => {
    const policy = (await root('GET', '/docs')).headers.get('content-security-policy') ?? ''
    expect(policy)
      .to.include("default-src 'none'")
      .and.include("script-src 'self'")
      .and.include("connect-src 'self'")
    expect(policy).to.not.match(/upgrade-insecure-requests|script-src[^;]*(unsafe|https?:)/)
    expect((await root('GET', '/healthz')).headers.get('content-security-policy')).to.not.equal(policy)
  })

  it('asks nobody else to judge the document', async () => {
    const { text, headers } = await root('GET', '/docs/initializer.js')
    expect(headers.get('content-type')).to.match(/^text\/javascript/)
    expect(text).to.include('validatorUrl: null').and.include("url: '/openapi.json'")
    expect(text).to.not.match(/https?:/)
  })

  it('has the types of its files right', async () => {
    for (const [file, type] of [
      ['swagger-ui-bundle.js', /^text\/javascript/],
      ['swagger-ui.css', /^text\/css/],
      ['favicon-32x32.png', /^image\/png$/],
    ] as const) {
      const { headers } = await root('GET', `/docs/${file}`)
      expect(headers.get('content-type'), file).to.match(type)
      expect(headers.get('x-content-type-options'), file).to.equal('nosniff')
    }
  })

  it('has no other files, whatever is asked for', async () => {
    for (const file of [
      'package.json',
      'swagger-ui.js',
      'swagger-ui-bundle.js.map',
      'index.js',
      'constructor',
      '__proto__',
      '..%2fpackage.json',
      '%2e%2e%2f%2e%2e%2f%2e%2e%2f.env',
      '%00',
    ])
      expectRefusal(await root('GET', `/docs/${file}`), 404, 'NOT_FOUND')
  })

  it('is asked for once by those who keep it', async () => {
    for (const path of ['/docs', '/docs/swagger-ui-bundle.js', '/openapi.json']) {
      const first = await root('GET', path)
      const etag = first.headers.get('etag') ?? ''
      expect(etag, path).to.match(/^"[\w-]{43}"$/)
      const again = await root('GET', path, { headers: { 'if-none-match': etag } })
      expect([again.status, again.text]).to.deep.equal([304, ''])
      expect((await root('GET', path, { headers: { 'if-none-match': '"other"' } })).status).to.equal(200)
    }
  })

  it('shows the document that is made from the contract', async () => {
    const { text, headers } = await root('GET', '/openapi.json')
    expect(headers.get('content-type')).to.match(/^application\/json/)
    expect(JSON.parse(text)).to.deep.equal(openApiDocument())
  })
})
