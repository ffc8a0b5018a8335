/** The buyers of the demo: each tries to buy, asks for the verdict, pays or lets the order lapse. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiClient, ApiReply } from '../lib/api-client.ts'
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
  rush: ApiClient
  /** For those who got a reservation: verdict and payment do not queue up behind the rush. */
  followUp: ApiClient
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
      const reply = await call(
        options,
        options.rush,
        buyer,
        'POST',
        `/spike-events/${options.eventId}/orders`,
      )
      log.attempts++
      // An answer that was lost on the way: the next try is told what the first one got.
      const lostAnswer = options.surviveOutages === true && reply.error === 'ALREADY_PURCHASED'
      if (reply.status === 202 || lostAnswer) {
        const rid = String(reply.data.reservation_id)
        log.told.push(rid)
        log.accepted++
        return await followOrder(options, buyer, rid, pays, log)
      }
      count(log.rejected, reply.error ?? String(reply.status))
      const tryAgain = reply.error === 'OVERLOADED' || (reply.error === 'ALL_HELD' && patient)
      if (!tryAgain || Date.now() > until) return
      await sleep(500 + random() * 1_000)
    }
  } catch (error) {
    log.surprises.push((error as Error).message)
  }
}

async function followOrder(
  options: CrowdOptions,
  buyer: LoadBuyer,
  rid: string,
  pays: boolean,
  log: CrowdLog,
): Promise<void> {
  const verdict = await poll(options, buyer, `/reservations/${rid}`, FIRST_POLL_MS.reservation, [
    'ordered',
    'void',
  ])
  if (verdict.status === 'void') return count(log.rejected, `void: ${String(verdict.reason)}`)
  log.ordered++
  const order = `/orders/${String(verdict.order_id)}`
  if (pays) {
    const started = await call(options, options.followUp, buyer, 'POST', `${order}/payments`)
    if (started.status !== 202 && started.error !== 'ORDER_NOT_PENDING')
      throw new Error(`payment answered ${started.status} ${started.error}`)
  } else {
    await sleep(Math.max(0, Date.parse(String(verdict.expires_at)) - Date.now()))
  }
  const end = await poll(options, buyer, order, FIRST_POLL_MS.order, ['paid', 'closed'])
  if (end.status === 'paid') log.paid++
  else log.lapsed++
}

/** Asks until the status is one of `final`, a minute at most. */
async function poll(
  options: CrowdOptions,
  buyer: LoadBuyer,
  path: string,
  firstMs: number,
  final: readonly string[],
): Promise<Record<string, unknown>> {
  const end = Date.now() + 60_000
  for (let pause = firstMs; Date.now() < end; pause = Math.min(pause * 2, LONGEST_POLL_MS)) {
    await sleep(pause)
    const { status, error, data } = await call(options, options.followUp, buyer, 'GET', path)
    if (status !== 200) throw new Error(`${path} answered ${status} ${error}`)
    if (final.includes(String(data.status))) return data
  }
  throw new Error(`${path} had no end within a minute`)
}

async function call(
  options: CrowdOptions,
  client: ApiClient,
  buyer: LoadBuyer,
  method: string,
  path: string,
): Promise<ApiReply> {
  for (const end = Date.now() + OUTAGE_MS; ; await sleep(100)) {
    try {
      const reply = await client.call(method, path, { token: buyer.access_token })
      if (reply.error !== 'NOT_READY' || !options.surviveOutages || Date.now() > end) return reply
    } catch (error) {
      if (!options.surviveOutages || Date.now() > end) throw error
    }
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
