import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { CONTRACT } from '../../../src/http/contract/index.ts'
import { pathOf } from '../../../src/http/contract/openapi.ts'
import type { RouteSpec } from '../../../src/http/contract/route.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

const internal = Object.values<RouteSpec>(CONTRACT)
  .filter((route) => route.internal)
  .map((route) => pathOf(route).replace(':file', 'swagger-ui.css'))
const CHECKS = { postgres: 'ok', redis: 'ok', rabbitmq: 'ok' }

describe('what a process tells its own networks only', () => {
  it('is metrics, document and page', () => {
    expect(internal).to.have.members(['/metrics', '/openapi.json', '/docs', '/docs/swagger-ui.css'])
  })

  describe('in prod, from inside', () => {
    let world: World
    let root: Client
    before(async () => {
      world = await createWorld({
        APP_ENV: 'prod',
        HOST: '::',
        INTERNAL_NETWORKS: '127.0.0.1/32',
        TRUST_PROXY: 'on',
      })
      await world.start('api')
      root = createClient(world.apiUrl)
    })
    after(() => world.close())

    it('is there', async () => {
      for (const path of internal) expect((await root('GET', path)).status, path).to.equal(200)
      expect((await root('GET', '/readyz')).body.data).to.deep.equal({ status: 'ready', checks: CHECKS })
    })

    for (const [header, value] of [
      ['x-forwarded-for', '203.0.113.1'],
      ['x-forwarded-for', '127.0.0.1'],
      ['x-forwarded-for', ''],
      ['forwarded', 'for=127.0.0.1'],
    ] as const)
      it(`is not for those whom a proxy speaks for: ${header}: ${value}`, async () => {
        for (const path of internal)
          expectRefusal(await root('GET', path, { headers: { [header]: value } }), 404, 'NOT_FOUND')
        const ready = await root('GET', '/readyz', { headers: { [header]: value } })
        expect([ready.status, ready.body.data]).to.deep.equal([200, { status: 'ready' }])
      })
  })

  describe('in prod, from outside', () => {
    let world: World
    let root: Client
    before(async () => {
      world = await createWorld({ APP_ENV: 'prod', INTERNAL_NETWORKS: '10.0.0.0/8,::1/128' })
      await world.start('api')
      root = createClient(world.apiUrl)
    })
    after(() => world.close())

    it('is not there, as what never was', async () => {
      const never = await root('GET', '/never')
      for (const path of internal) {
        const reply = await root('GET', path)
        expectRefusal(reply, 404, 'NOT_FOUND')
        expect({ ...reply.body, request_id: '' }).to.deep.equal({ ...never.body, request_id: '' })
      }
      expect((await root('GET', '/readyz')).body.data).to.deep.equal({ status: 'ready' })
      expect((await root('GET', '/healthz')).status).to.equal(200)
    })
  })

  it('outside prod is there for everybody', async () => {
    const world = await createWorld({ APP_ENV: 'staging', INTERNAL_NETWORKS: '10.0.0.0/8' })
    try {
      await world.start('api')
      const root = createClient(world.apiUrl)
      for (const path of internal) expect((await root('GET', path)).status, path).to.equal(200)
      expect((await root('GET', '/readyz')).body.data).to.deep.equal({ status: 'ready', checks: CHECKS })
    } finally {
      await world.close()
    }
  })
})
