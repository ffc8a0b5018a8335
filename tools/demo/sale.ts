/** Preparing and ending the demo's sale, through the API. */
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import { readConservation, type ConservationDependencies } from '../../src/conservation.ts'
import type { Facts } from '../../src/figures/invariants.ts'
import type { QueueFacts, QueueReader } from '../check/queues.ts'
import type { ShopClient } from '../../client/index.ts'
import { bearer, dataOf } from '../lib/api-client.ts'

/** A few seconds, and more for a crowd of payers that two cores can't serve in that time. */
export function paymentWindowS(options: { units: number; buyers: number }): number {
  return Math.max(5, Math.ceil(Math.min(options.units, options.buyers) / 300))
}

const OPENS_IN_MS = 500

export interface DemoSale {
  eventId: string
  productId: string
  adminToken: string
}

/** Logs in as admin, creates a product and its sale, publishes it, and waits until it is live. */
export async function openDemoSale(
  shop: ShopClient,
  options: { units: number; windowS: number; password: string },
): Promise<DemoSale> {
  const { access_token: adminToken } = await dataOf(
    shop.POST('/api/v1/auth/login', { body: { email: 'admin@spike.test', password: options.password } }),
  )
  const headers = bearer(adminToken)
  const product = await dataOf(
    shop.POST('/api/v1/products', {
      headers,
      body: { sku: `DEMO-${uuidv7()}`, name: 'Demo product', price: 19_900, stock: options.units },
    }),
  )
  const event = await dataOf(
    shop.POST('/api/v1/spike-events', {
      headers,
      body: {
        product_id: product.id,
        start_at: new Date(Date.now() + OPENS_IN_MS).toISOString(),
        end_at: new Date(Date.now() + 3_600_000).toISOString(),
        spike_price: 9_900,
        stock: options.units,
        payment_window_s: options.windowS,
        lapse_limit: 1,
      },
    }),
  )
  const path = { id: event.id }
  await dataOf(shop.POST('/api/v1/spike-events/{id}/publish', { headers, params: { path } }))
  for (let tries = 0; tries < 200; tries++) {
    const { state } = await dataOf(shop.GET('/api/v1/spike-events/{id}', { params: { path } }))
    if (state === 'live') return { eventId: event.id, productId: product.id, adminToken }
    await sleep(50)
  }
  throw new Error('the sale did not open within 10 s')
}

export async function endDemoSale(shop: ShopClient, { eventId, adminToken }: DemoSale): Promise<void> {
  await dataOf(
    shop.POST('/api/v1/spike-events/{id}/end', {
      headers: bearer(adminToken),
      params: { path: { id: eventId } },
    }),
  )
}

/**
 * Waits until nothing is in flight: no order open, nothing in outbox or queues, all free units returned.
 * @returns the facts at rest, or after `withinMs` the facts as they are
 */
export async function settle(
  sources: ConservationDependencies,
  queues: QueueReader,
  eventId: string,
  withinMs: number,
): Promise<{ facts: Facts; queueFacts: QueueFacts }> {
  for (const end = Date.now() + withinMs; ; await sleep(100)) {
    const facts = await readConservation(sources, eventId)
    if (facts === undefined) throw new Error(`the sale ${eventId} is gone`)
    const queueFacts = await queues.read()
    if (isAtRest(facts, queueFacts) || Date.now() > end) return { facts, queueFacts }
  }
}

function isAtRest({ ledger, redis, inFlight, pendingReleases, drift }: Facts, queues: QueueFacts): boolean {
  const settled = redis !== 'NOT_READY' && redis.granted === ledger.granted && ledger.available === 0
  const quiet = ledger.pending === 0 && ledger.unpublished === 0 && queues.waiting === 0
  return settled && quiet && inFlight === 0 && pendingReleases === 0 && drift === 0
}
