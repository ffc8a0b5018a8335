import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { Role } from '../../../src/users/model.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createProduct } from '../../factories/sales.ts'
import { createClient, expectRefusal, type Ask, type Client } from '../../support/http.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

type Caller = Role | 'anon'

const CALLERS: readonly Caller[] = ['anon', 'user', 'viewer', 'operator', 'admin']
const IF_MATCH = { 'if-match': '"1"' }

/** Every route of products, with a request that succeeds, and who may send it. */
const ROUTES: {
  method: string
  path: (id: string) => string
  ask: () => Ask
  status: number
  allowed: readonly Caller[]
}[] = [
  { method: 'GET', path: () => '/products', ask: () => ({}), status: 200, allowed: CALLERS },
  { method: 'GET', path: (id) => `/products/${id}`, ask: () => ({}), status: 200, allowed: CALLERS },
  {
    method: 'POST',
    path: () => '/products',
    ask: () => ({ json: { sku: randomUUID(), name: 'New', price: 1 } }),
    status: 201,
    allowed: ['admin'],
  },
  {
    method: 'PATCH',
    path: (id) => `/products/${id}`,
    ask: () => ({ json: { price: 2 }, headers: IF_MATCH }),
    status: 200,
    allowed: ['admin'],
  },
  {
    method: 'DELETE',
    path: (id) => `/products/${id}`,
    ask: () => ({ headers: IF_MATCH }),
    status: 204,
    allowed: ['admin'],
  },
  {
    method: 'GET',
    path: (id) => `/products/${id}/inventory`,
    ask: () => ({}),
    status: 200,
    allowed: CALLERS,
  },
  {
    method: 'POST',
    path: (id) => `/products/${id}/inventory/adjustments`,
    ask: () => ({ json: { delta: 5, reason: 'delivery' } }),
    status: 201,
    allowed: ['admin'],
  },
  {
    method: 'GET',
    path: (id) => `/products/${id}/inventory/adjustments`,
    ask: () => ({}),
    status: 200,
    allowed: ['viewer', 'operator', 'admin'],
  },
]

describe('who may do what with products', () => {
  let world: World
  let api: Client
  const tokens: Partial<Record<Caller, string>> = {}

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    for (const role of ['user', 'viewer', 'operator', 'admin'] as const)
      tokens[role] = (await createAccount(world, role)).token
  })
  after(() => world.close())

  for (const { method, path, ask, status, allowed } of ROUTES)
    for (const caller of CALLERS)
      it(`${method} ${path(':id')}: ${caller} ${allowed.includes(caller) ? 'may' : 'may not'}`, async () => {
        const id = await createProduct(world)
        const products = () => world.knex('products').orderBy('id')
        const before = { ...(await stateOf(world)), products: await products() }
        const reply = await api(method, path(id), { ...ask(), token: tokens[caller] })
        if (allowed.includes(caller)) return expect(reply.status, reply.text).to.equal(status)
        if (caller === 'anon') expectRefusal(reply, 401, 'UNAUTHENTICATED')
        else expectRefusal(reply, 403, 'FORBIDDEN')
        return expect({ ...(await stateOf(world)), products: await products() }).to.deep.equal(before)
      })

  it('tells those without the right nothing of what exists and of what is wrong with their request', async () => {
    for (const { method, path, allowed } of ROUTES) {
      if (allowed.includes('user')) continue
      expectRefusal(await api(method, path(randomUUID()), { token: tokens.user }), 403, 'FORBIDDEN')
      expectRefusal(await api(method, path('x'), { token: tokens.user }), 403, 'FORBIDDEN')
      expectRefusal(await api(method, path('x')), 401, 'UNAUTHENTICATED')
    }
  })

  it('reads products with a bad token as without one', async () => {
    const id = await createProduct(world)
    for (const path of ['/products', `/products/${id}`, `/products/${id}/inventory`])
      expect((await api('GET', path, { token: 'nonsense' })).status).to.equal(200)
  })
})
