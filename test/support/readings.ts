/** Everything that people read from the API and from the dashboard, asked for as they ask for it. */
import type { RedisClient } from '../../src/platform/redis/nodes.ts'
import type { Knex } from 'knex'
import type { Config } from '../../src/platform/config.ts'
import type { Contract, RouteName } from '../../src/http/contract/index.ts'
import { EVENT_SORTS, EVENT_STATES } from '../../src/spike-events/model.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { ORDER_SORTS } from '../../src/orders/model.ts'
import { PRODUCT_SORTS } from '../../src/products/model.ts'
import { ROLES, USER_SORTS } from '../../src/users/model.ts'
import { issueToken, tokenKey } from '../../src/users/tokens.ts'
import { createAccount } from '../factories/accounts.ts'
import { logIn } from './dashboard.ts'
import { createClient } from './http.ts'

/** What answers, and where the stores are that it reads. */
export interface Shown {
  knex: Knex
  redis: RedisClient
  config: Config
  apiUrl: string
  dashboardUrl: string
}

/** One thing that people ask for. */
export interface Reading {
  name: string
  read: () => Promise<void>
}

/** A purchase that has become an order, with all its names. */
interface Bought {
  orderId: string
  rid: string
  eventId: string
  productId: string
  userId: string
  email: string
  requestId: string
}

/** A route that is read; a new one has to be among the readings, or this does not compile. */
type ReadRoute = {
  [Name in RouteName]: Contract[Name] extends { method: 'get'; outside: true }
    ? never
    : Contract[Name] extends { method: 'get' }
      ? Name
      : never
}[RouteName]

/** @returns every reading, on stores that have grown */
export async function readingsOf(shown: Shown): Promise<Reading[]> {
  const { knex, redis, apiUrl, dashboardUrl, config } = shown
  const admin = await createAccount(shown, 'admin')
  const bought = await newestPurchase(knex)
  // One that Redis does not know any more is read from PostgreSQL.
  const forgotten = { ...(await newestPurchase(knex, 'paid')) }
  await redis.hdel(spikeKeys(forgotten.eventId).states, forgotten.rid)
  const api = createClient(`${apiUrl}/api/v1`)
  const tokenOf = (id: string) =>
    issueToken(tokenKey(config.jwtSecret), { id, role: 'user', token_version: 1 }, 'api')
  const ask = (path: string, token: string): Reading => ({
    name: `GET ${path}`,
    read: async () => checked(path, (await api('GET', path, { token })).status),
  })
  const [buyer, earlier] = [tokenOf(bought.userId), tokenOf(forgotten.userId)]
  const readings = Object.values(API).flatMap((pathsOf) =>
    pathsOf(bought).map((path) => ask(path, STAFF_ONLY.test(path) ? admin.token : buyer)),
  )
  readings.push(...API.readReservation(forgotten).map((path) => ask(path, earlier)))
  const dashboard = createClient(dashboardUrl)
  const headers = { cookie: (await logIn(dashboard, admin)).cookie, accept: 'text/html' }
  readings.push(
    ...dashboardPaths(bought).map((path) => ({
      name: `dashboard ${path}`,
      read: async () => checked(path, (await dashboard('GET', path, { headers })).status),
    })),
  )
  return readings.map(({ name, read }) => ({ name: withoutIds(name, bought, forgotten), read }))
}

function checked(path: string, status: number): void {
  if (status !== 200) throw new Error(`${path} was answered with ${status}`)
}

/** Ids differ from one filling to the next. */
function withoutIds(name: string, ...purchases: readonly Bought[]): string {
  return purchases
    .flatMap((purchase) => Object.entries(purchase))
    .reduce((text, [word, id]) => text.replaceAll(encodeURIComponent(id), `:${word}`), name)
}

const STAFF_ONLY = /^\/users\?|^\/users$|\/(conservation|report|adjustments)\b|state=draft/

/** The paths of each route, with every sort and filter that it takes. */
const API: Record<ReadRoute, (bought: Bought) => string[]> = {
  readMe: () => ['/users/me'],
  listUsers: () => [
    ...sorted('/users', USER_SORTS),
    ...ROLES.map((role) => `/users?role=${role}`),
    '/users?disabled=true',
    '/users?disabled=false',
    '/users?q=buyer-77',
  ],
  listProducts: () => [
    ...sorted('/products', PRODUCT_SORTS),
    '/products?q=grown',
    '/products?currency=CNY&min_price=1&max_price=2000',
  ],
  readProduct: ({ productId }) => [`/products/${productId}`],
  readInventory: ({ productId }) => [`/products/${productId}/inventory`],
  listInventoryMovements: ({ productId }) => [`/products/${productId}/inventory/adjustments`],
  listSpikeEvents: ({ productId }) => [
    ...sorted('/spike-events', EVENT_SORTS),
    ...EVENT_STATES.map((state) => `/spike-events?state=${state}`),
    `/spike-events?product_id=${productId}`,
    '/spike-events?currency=CNY',
  ],
  readSpikeEvent: ({ eventId }) => [`/spike-events/${eventId}`],
  readConservation: ({ eventId }) => [`/spike-events/${eventId}/conservation`],
  readReport: ({ eventId }) => [`/spike-events/${eventId}/report`],
  readReservation: ({ rid }) => [`/reservations/${rid}`],
  streamReservation: ({ rid }) => [`/reservations/${rid}/stream`],
  listOrders: ({ eventId }) => [
    ...sorted('/orders', ORDER_SORTS),
    '/orders?status=pending',
    `/orders?event_id=${eventId}`,
  ],
  readOrder: ({ orderId }) => [`/orders/${orderId}`],
  readTimeline: ({ orderId }) => [`/orders/${orderId}/timeline`],
}

function sorted(path: string, sorts: readonly string[]): string[] {
  return sorts.flatMap((sort) => [`${path}?sort=${sort},asc`, `${path}?sort=${sort},desc`])
}

function dashboardPaths({ orderId, rid, eventId, email, requestId }: Bought): string[] {
  const names = [
    orderId,
    rid,
    requestId,
    email,
    `close-order-${orderId}`,
    `dead-letter-${rid}`,
    'nobody@grown.test',
  ]
  return [
    '/sales',
    '/sales?state=live',
    `/sales/${eventId}`,
    `/sales/${eventId}/report`,
    ...['pause', 'end', 'stock', 'rebuild', 'repair'].map((action) => `/sales/${eventId}/actions/${action}`),
    ...names.map((name) => `/look-up?q=${encodeURIComponent(name)}`),
    '/dead-letters',
    '/dead-letters/retry-failed',
    '/audit',
    `/audit?target=${eventId}`,
    '/audit?older=1000',
  ]
}

async function newestPurchase(knex: Knex, status = 'pending'): Promise<Bought> {
  const { rows } = await knex.raw(
    `SELECT o.id AS "orderId", r.rid, r.event_id AS "eventId", e.product_id AS "productId", u.id AS "userId", u.email,
            r.request_id AS "requestId"
       FROM orders o JOIN reservations r ON r.rid = o.reservation_id JOIN users u ON u.id = o.user_id
       JOIN spike_events e ON e.id = o.event_id
      WHERE o.status = ? ORDER BY o.id DESC LIMIT 1`,
    [status],
  )
  return rows[0]
}
