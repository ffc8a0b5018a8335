/** Preparing and ending the demo's sale, through the API wherever it has a route. */
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import { readConservation, type ConservationDependencies } from '../../src/conservation.ts'
import type { Facts } from '../../src/figures/invariants.ts'
import type { QueueFacts, QueueReader } from '../check/queues.ts'
import type { ApiClient, ApiReply } from '../lib/api-client.ts'

/** A few seconds, and more for a crowd of payers that two cores can't serve in that time. */
export function paymentWindowS(options: { units: number; buyers: number }): number {
  return Math.max(5, Math.ceil(Math.min(options.units, options.buyers) / 300))
}

const OPENS_IN_MS = 500

/** A product with exactly the units of the sale. @returns its id */
async function makeProduct(client: ApiClient, adminToken: string, units: number): Promise<string> {
  const body = { sku: `DEMO-${uuidv7()}`, name: 'Demo product', price: 19_900, stock: units }
  const made = await expectStatus(201, client.call('POST', '/products', { token: adminToken, body }))
  return String(made.data.id)
}

export interface DemoSale {
  eventId: string
  productId: string
  adminToken: string
}

/** Logs in as admin, creates and publishes the sale, and waits until it is live. */
export async function openDemoSale(
  client: ApiClient,
  options: { units: number; windowS: number; password: string },
): Promise<DemoSale> {
  const login = await expectStatus(
    200,
    client.call('POST', '/auth/login', { body: { email: 'admin@spike.test', password: options.password } }),
  )
  const adminToken = String(login.data.access_token)
  const productId = await makeProduct(client, adminToken, options.units)
  const created = await expectStatus(
    201,
    client.call('POST', '/spike-events', {
      token: adminToken,
      body: {
        product_id: productId,
        start_at: new Date(Date.now() + OPENS_IN_MS).toISOString(),
        end_at: new Date(Date.now() + 3_600_000).toISOString(),
        spike_price: 9_900,
        stock: options.units,
        payment_window_s: options.windowS,
        lapse_limit: 1,
      },
    }),
  )
  const eventId = String(created.data.id)
  await expectStatus(200, client.call('POST', `/spike-events/${eventId}/publish`, { token: adminToken }))
  for (let tries = 0; tries < 200; tries++) {
    const event = await client.call('GET', `/spike-events/${eventId}`)
    if (event.data.state === 'live') return { eventId, productId, adminToken }
    await sleep(50)
  }
  throw new Error('the sale did not open within 10 s')
}

export async function endDemoSale(client: ApiClient, sale: DemoSale): Promise<void> {
  await expectStatus(
    200,
    client.call('POST', `/spike-events/${sale.eventId}/end`, { token: sale.adminToken }),
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

async function expectStatus(status: number, reply: Promise<ApiReply>): Promise<ApiReply> {
  const got = await reply
  if (got.status !== status)
    throw new Error(`the API answered ${got.status} ${got.error ?? ''} where ${status} was due`)
  return got
}
