/** The buyers of the demo: each tries to buy, asks for the verdict, pays or lets the order lapse. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ShopClient } from '../../client/index.ts'
import { bearer, errorOf } from '../lib/api-client.ts'
import type { LoadBuyer } from '../lib/buyers.ts'
import { seededRandom } from './random.ts'

/** What all buyers together saw. */
export interface CrowdLog {
  /** Every rid that a buyer was told. */
  told: string[]
  attempts: number
  accepted: number
  rejected: Map<string, number>
  ordered: number
  paid: number
  lapsed: number
  /** Answers that no buyer should ever get. */
  surprises: string[]
}

interface CrowdOptions {
  /** For the rush on the button. */
  rush: ShopClient
  /** For those who got a reservation: verdict and payment do not queue up behind the rush. */
  followUp: ShopClient
  eventId: string
  payShare: number
  seed: number
  /** Makes buyers try again when the API does not answer, as people do while a server restarts. */
  surviveOutages?: boolean
  /** Buyers stop waiting for units to come back after this time. */
  patienceMs: number
}

/** Share of the buyers who try again while units are only held by others. */
const PATIENT_SHARE = 0.15
const OUTAGE_MS = 30_000
/** Pauses before the first questions about a verdict and a payment; each further pause is twice as long. */
const FIRST_POLL_MS = { reservation: 300, order: 700 }
const LONGEST_POLL_MS = 4_000

export function newCrowdLog(): CrowdLog {
  return {
    told: [],
    attempts: 0,
    accepted: 0,
    rejected: new Map(),
    ordered: 0,
    paid: 0,
    lapsed: 0,
    surprises: [],
  }
}

/** Sends all buyers at once and resolves when the last one has left. */
export async function runCrowd(
  options: CrowdOptions,
  buyers: readonly LoadBuyer[],
  log: CrowdLog,
): Promise<void> {
  const until = Date.now() + options.patienceMs
  await Promise.all(buyers.map((buyer, i) => shop(options, buyer, seededRandom(options.seed, i), until, log)))
}

async function shop(
  options: CrowdOptions,
  buyer: LoadBuyer,
  random: () => number,
  until: number,
  log: CrowdLog,
): Promise<void> {
  const pays = random() < options.payShare
  const patient = random() < PATIENT_SHARE
  try {
    for (;;) {
      const reply = await ask(options, () => buy(options, buyer))
      log.attempts++
      if (reply.rid !== undefined) {
        log.told.push(reply.rid)
        log.accepted++
        return await followOrder(options, buyer, reply.rid, pays, log)
      }
      count(log.rejected, reply.error)
      const tryAgain = reply.error === 'OVERLOADED' || (reply.error === 'ALL_HELD' && patient)
      if (!tryAgain || Date.now() > until) return
      await sleep(500 + random() * 1_000)
    }
  } catch (error) {
    log.surprises.push((error as Error).message)
  }
}

/** One press of the button. @returns the rid that the buyer is told, or why there is none */
async function buy(
  options: CrowdOptions,
  buyer: LoadBuyer,
): Promise<{ rid: string; error: undefined } | { rid: undefined; error: string }> {
  const result = await options.rush.POST('/api/v1/spike-events/{id}/orders', {
    headers: bearer(buyer.access_token),
    params: { path: { id: options.eventId } },
    body: {},
  })
  if (result.data !== undefined) return { rid: result.data.data.reservation_id, error: undefined }
  const error = errorOf(result)
  // An answer that was lost on the way: the next try is told what the first one got.
  if (options.surviveOutages === true && error === 'ALREADY_PURCHASED')
    return {
      rid: String((result.error as { data?: { reservation_id?: string } }).data?.reservation_id),
      error: undefined,
    }
  return { rid: undefined, error }
}

async function followOrder(
  options: CrowdOptions,
  buyer: LoadBuyer,
  rid: string,
  pays: boolean,
  log: CrowdLog,
): Promise<void> {
  const { followUp: shop } = options
  const headers = bearer(buyer.access_token)
  const verdict = await poll(options, `reservation ${rid}`, FIRST_POLL_MS.reservation, async () => {
    const result = await shop.GET('/api/v1/reservations/{rid}', { headers, params: { path: { rid } } })
    const found = result.data?.data
    if (found === undefined) return errorOf(result)
    return found.status === 'ordered' || found.status === 'void' ? found : undefined
  })
  if (verdict.status === 'void') return count(log.rejected, `void: ${verdict.reason}`)
  log.ordered++
  const params = { path: { id: verdict.order_id } }
  if (pays) {
    const error = await ask(options, async () => {
      const started = await shop.POST('/api/v1/orders/{id}/payments', { headers, params, body: {} })
      return { error: started.data === undefined ? errorOf(started) : undefined }
    })
    if (error.error !== undefined && error.error !== 'ORDER_NOT_PENDING')
      throw new Error(`payment answered ${error.error}`)
  } else {
    await sleep(Math.max(0, Date.parse(verdict.expires_at) - Date.now()))
  }
  const end = await poll(options, `order ${verdict.order_id}`, FIRST_POLL_MS.order, async () => {
    const result = await shop.GET('/api/v1/orders/{id}', { headers, params })
    const found = result.data?.data
    if (found === undefined) return errorOf(result)
    return found.status === 'paid' || found.status === 'closed' ? found : undefined
  })
  if (end.status === 'paid') log.paid++
  else log.lapsed++
}

/**
 * Asks until there is an end, a minute at most.
 * @param look returns the end, undefined while there is none, or the name of an error
 */
async function poll<T extends object>(
  options: CrowdOptions,
  what: string,
  firstMs: number,
  look: () => Promise<T | string | undefined>,
): Promise<T> {
  const end = Date.now() + 60_000
  for (let pause = firstMs; Date.now() < end; pause = Math.min(pause * 2, LONGEST_POLL_MS)) {
    await sleep(pause)
    const { error, found } = await ask(options, async () => {
      const found = await look()
      return typeof found === 'string' ? { error: found, found: undefined } : { error: undefined, found }
    })
    if (error !== undefined) throw new Error(`${what} answered ${error}`)
    if (found !== undefined) return found
  }
  throw new Error(`${what} had no end within a minute`)
}

/** Asks once, or, for buyers who survive outages, until the API answers. */
async function ask<R extends { error: string | undefined }>(
  options: CrowdOptions,
  question: () => Promise<R>,
): Promise<R> {
  for (const end = Date.now() + OUTAGE_MS; ; await sleep(100)) {
    try {
      const reply = await question()
      if (reply.error !== 'NOT_READY' || !options.surviveOutages || Date.now() > end) return reply
    } catch (error) {
      if (!options.surviveOutages || Date.now() > end) throw error
    }
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
