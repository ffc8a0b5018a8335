import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { CONTRACT, type RouteName } from '../../src/http/contract/index.ts'
import { pathOf } from '../../src/http/contract/openapi.ts'
import type { Access, RouteSpec } from '../../src/http/contract/route.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { order } from '../support/buying.ts'
import { expectRefusal, type Client, type Reply } from '../support/http.ts'
import { atRest } from '../support/state.ts'
import { createWorld, type World } from '../support/world.ts'

/** Who may call what, said once more by hand: a right that is loosened in the contract has to be loosened here. */
const RIGHTS: Record<RouteName, Access> = {
  register: 'anyone',
  login: 'anyone',
  refresh: 'anyone',
  logout: 'anyone',
  readMe: 'user',
  changePassword: 'user',
  listUsers: 'admin',
  patchUser: 'admin',
  listProducts: 'anyone',
  readProduct: 'anyone',
  createProduct: 'admin',
  patchProduct: 'admin',
  deleteProduct: 'admin',
  readInventory: 'anyone',
  adjustInventory: 'admin',
  listInventoryMovements: 'viewer',
  listSpikeEvents: 'visitor',
  readSpikeEvent: 'visitor',
  createSpikeEvent: 'admin',
  patchSpikeEvent: 'admin',
  publishSpikeEvent: 'admin',
  pauseSpikeEvent: 'admin',
  resumeSpikeEvent: 'admin',
  endSpikeEvent: 'admin',
  rebuildSpikeEvent: 'admin',
  repairSpikeEvent: 'admin',
  adjustSpikeStock: 'admin',
  readConservation: 'viewer',
  readReport: 'viewer',
  buy: 'user',
  readReservation: 'user',
  streamReservation: 'user',
  createOrder: 'user',
  listOrders: 'user',
  readOrder: 'user',
  readTimeline: 'user',
  cancelOrder: 'user',
  startPayment: 'user',
  paymentCallback: 'provider',
  healthz: 'anyone',
  readyz: 'anyone',
  metrics: 'anyone',
  openapi: 'anyone',
  docs: 'anyone',
  docsAsset: 'anyone',
}

const CALLERS = ['anon', 'user', 'viewer', 'operator', 'admin'] as const
type Caller = (typeof CALLERS)[number]

/** What keeps a caller out; undefined when nothing does. */
const REFUSAL: Record<Access, Partial<Record<Caller, string>>> = {
  anyone: {},
  visitor: {},
  user: { anon: '401 UNAUTHENTICATED' },
  viewer: { anon: '401 UNAUTHENTICATED', user: '403 FORBIDDEN' },
  admin: {
    anon: '401 UNAUTHENTICATED',
    user: '403 FORBIDDEN',
    viewer: '403 FORBIDDEN',
    operator: '403 FORBIDDEN',
  },
  provider: Object.fromEntries(CALLERS.map((caller) => [caller, '401 INVALID_SIGNATURE'])),
}

const NAMES = Object.keys(CONTRACT) as RouteName[]

describe('attacks on rights', () => {
  let world: World
  let root: Client
  let api: Client
  let eventId: string
  let productId: string
  let victim: LoadBuyer
  let thief: LoadBuyer
  let orderId: string
  const tokens: Partial<Record<Caller, string>> = {}

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    root = createAttackClient(world.apiUrl)
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    for (const role of ['user', 'viewer', 'operator', 'admin'] as const)
      tokens[role] = (await createAccount(world, role)).token
    ;[victim, thief] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
    eventId = await createSale(world)
    productId = await createProduct(world)
    ;({ orderId } = await order(api, eventId, victim))
    await atRest(world, eventId)
  })
  after(() => world.close())

  const asThief = (method: string, path: string, json?: unknown) =>
    api(method, path, { token: thief.access_token, json })
  const nothing = <T>(run: () => Promise<T>) => unchanged(world, [eventId], run)

  /** A request that only its right can refuse before its input does. */
  function ask(route: RouteSpec, caller: Caller): Promise<Reply<unknown>> {
    const path = pathOf(route).replaceAll(/:\w+/g, () => randomUUID())
    const headers = { 'if-match': '*', 'idempotency-key': randomUUID() }
    return root(route.method.toUpperCase(), path, { token: tokens[caller], headers })
  }

  attack('a right that the contract has loosened: the table of rights is exact', async () => {
    expect(Object.fromEntries(NAMES.map((name) => [name, CONTRACT[name].access]))).to.deep.equal(RIGHTS)
  })

  for (const name of NAMES) {
    const route: RouteSpec = CONTRACT[name]
    const shut = REFUSAL[RIGHTS[name]]
    const kept = CALLERS.filter((caller) => shut[caller] !== undefined)
    if (kept.length > 0)
      attack(
        `${route.method.toUpperCase()} ${pathOf(route)} by ${kept.join(', ')}: refused, all others pass`,
        () =>
          nothing(async () => {
            for (const caller of CALLERS) {
              const { status, body } = await ask(route, caller)
              const answer = `${status} ${body.error}`
              if (shut[caller] !== undefined) expect(answer, caller).to.equal(shut[caller])
              else expect([401, 403], `${caller}: ${answer}`).to.not.include(status)
            }
          }),
      )
  }

  attack('a role or a user claimed in headers, query or body: not read', () =>
    nothing(async () => {
      const headers = {
        'x-role': 'admin',
        'x-user-role': 'admin',
        'x-user-id': victim.user_id,
        'x-admin': '1',
      }
      const token = thief.access_token
      const list = await api('GET', '/users?role=admin', { token, headers })
      expectRefusal(list, 403, 'FORBIDDEN')
      const pause = `/spike-events/${eventId}/pause?role=admin`
      expectRefusal(await api('POST', pause, { token, headers, json: { role: 'admin' } }), 403, 'FORBIDDEN')
      expectRefusal(await api('GET', `/orders/${orderId}`, { token, headers }), 404, 'NOT_FOUND')
    }),
  )

  attack('a method or a path put into a header: the request line counts', () =>
    nothing(async () => {
      for (const name of ['x-http-method-override', 'x-http-method', 'x-method-override'])
        for (const token of [thief.access_token, tokens.admin]) {
          const headers = { [name]: 'DELETE', 'if-match': '*' }
          const reply = await api('POST', `/products/${productId}`, { token, headers })
          expectRefusal(reply, 405, 'METHOD_NOT_ALLOWED')
          expect(
            (await api('GET', `/products/${productId}?_method=DELETE`, { token, headers })).status,
          ).to.equal(200)
        }
      const headers = { 'x-original-url': '/api/v1/users', 'x-rewrite-url': '/api/v1/users' }
      expectRefusal(await root('GET', '/', { token: tokens.admin, headers }), 404, 'NOT_FOUND')
    }),
  )

  attack('an admin’s path written in another way by a user: 403 or 404', () =>
    nothing(async () => {
      const paths = [
        '/users/',
        '/USERS',
        '//users',
        '/./users',
        '/users;a=b',
        '/users%2f',
        '/%75sers',
        '/users%00',
      ]
      for (const path of [...paths, '/users/.', '/users/../users', '/users#x', '/users?', '/users%20'])
        for (const method of ['GET', 'HEAD']) {
          const { status } = await asThief(method, path)
          expect([403, 404], `${method} ${path}`).to.include(status)
        }
    }),
  )

  attack('HEAD and OPTIONS as a way around a right: no more than GET gives', () =>
    nothing(async () => {
      const head = await asThief('HEAD', '/users')
      expect([head.status, head.text]).to.deep.equal([403, ''])
      const options = await asThief('OPTIONS', '/users')
      expect([options.status, options.text]).to.deep.equal([200, ''])
      expect(options.headers.get('allow')).to.equal('HEAD, GET')
    }),
  )
})
