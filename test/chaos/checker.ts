/**
 * Whether a run kept every promise: the invariants of docs/architecture.md from the stores and the queues, and what
 * only the buyers' own log can show.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'
import { readConservation, type ConservationDependencies } from '../../src/conservation.ts'
import { oversold, type Facts } from '../../src/figures/invariants.ts'
import { findReservations, type ReservationRow } from '../../src/orders/inbox.ts'
import { judge } from '../../tools/check/invariants.ts'
import type { QueueFacts } from '../../tools/check/queues.ts'
import type { CrowdLog, Told } from './buyers.ts'

/** What went wrong in one run; all zero and empty for one that kept every promise. */
export interface Judgement {
  /** Units sold beyond those granted. */
  oversold: number
  /** Second live claims, second orders of a claim, second releases. */
  duplicates: number
  /** Reservations that were answered `queued` and never got their verdict, or one that is not the one that was told. */
  lost: number
  /** Orders of somebody who never asked, or asked and was refused each time. */
  phantom: number
  drift: number
  /** Reservations told in another way that got no final answer. */
  unanswered: number
  /** Every invariant that does not hold, with its numbers, and every answer that should not have been given. */
  broken: string[]
  /** From the end of the last fault until everything was at rest, or until the time was over. */
  settledAfterMs: number
  /** Figures of the run. */
  orders: number
  told: number
}

export interface Sources extends ConservationDependencies {
  /** What lies in the queues, but for what a fault has planted there. */
  queues: () => Promise<QueueFacts>
  eventId: string
}

/**
 * Waits until nothing is in flight, but not beyond a moment.
 * @returns the facts at rest, or as they were in the end
 */
export async function rest(
  sources: Sources,
  until: number,
): Promise<{ facts: Facts; queues: QueueFacts; atRest: boolean }> {
  for (;;) {
    const state = await look(sources).catch((error: Error) => error)
    if (Date.now() > until) {
      if (state instanceof Error) throw state
      return state
    }
    if (!(state instanceof Error) && state.atRest) return state
    await sleep(250)
  }
}

async function look(sources: Sources) {
  const facts = await readConservation(sources, sources.eventId)
  if (facts === undefined) throw new Error(`event ${sources.eventId} is gone`)
  const queues = await sources.queues()
  return { facts, queues, atRest: isAtRest(facts, queues) }
}

function isAtRest(facts: Facts, queues: QueueFacts): boolean {
  const { ledger, redis, inFlight, pendingReleases, drift } = facts
  const quiet =
    ledger.pending + ledger.unpublished + ledger.reservations.undecided + inFlight + pendingReleases
  const settled = redis !== 'NOT_READY' && redis.granted === ledger.granted && drift === 0
  return settled && quiet === 0 && queues.waiting + queues.deadLetters === 0
}

/** Judges a run that has come to rest, or has run out of time. */
export async function judgeRun(
  knex: Knex,
  eventId: string,
  log: CrowdLog,
  { facts, queues }: { facts: Facts; queues: QueueFacts },
): Promise<Omit<Judgement, 'settledAfterMs'>> {
  const told = [...log.told.values()]
  const rows = new Map((await findReservations(knex, [...log.told.keys()])).map((row) => [row.rid, row]))
  const kept = told.map((one) => ({ one, kept: isKept(one, rows.get(one.rid)) }))
  const lost = kept.filter(({ one, kept }) => !kept && one.status === 'queued')
  const unanswered = kept.filter(({ one, kept }) => !kept && one.status !== 'queued')
  const phantom = await phantoms(knex, eventId, log)
  const { ledger } = facts
  const decided = told.length - lost.length - unanswered.length
  const invariants = judge(facts, { told: told.length, decided, phantom }, queues)
  return {
    oversold: oversold(ledger),
    duplicates: ledger.doubleClaims + ledger.doubleOrders + ledger.doubleReleases,
    lost: lost.length,
    phantom,
    drift: facts.drift ?? Number.NaN,
    unanswered: unanswered.length,
    broken: [
      ...invariants.filter(({ ok }) => !ok).map(({ name, numbers }) => `${name}: ${numbers}`),
      ...[...lost, ...unanswered].map(({ one }) => tellLost(one, rows.get(one.rid))),
      ...log.surprises,
    ],
    orders: ledger.reservations.ordered,
    told: told.length,
  }
}

/** A run that came to no end, because something could not be brought back, has shown nothing: it counts as broken. */
export function unfinished(error: Error): Judgement {
  const zero = {
    oversold: 0,
    duplicates: 0,
    lost: 0,
    phantom: 0,
    drift: 0,
    unanswered: 0,
    orders: 0,
    told: 0,
  }
  return { ...zero, settledAfterMs: 0, broken: [`not finished: ${error.stack ?? error.message}`] }
}

/** The buyer read a final answer, and it is PostgreSQL's. */
function isKept(one: Told, row: ReservationRow | undefined): boolean {
  return one.final !== undefined && row !== undefined && row.status === one.final
}

function tellLost(one: Told, row: ReservationRow | undefined): string {
  return `rid ${one.rid} was told ${one.status}, then ${one.final ?? 'nothing'}; postgres: ${row?.status ?? 'unknown'}`
}

/**
 * Claims of rids that nobody was told, by buyers who had an answer to everything they asked: one whose answer was
 * lost may have an order without knowing it.
 */
async function phantoms(knex: Knex, eventId: string, log: CrowdLog): Promise<number> {
  const claims: { reservation_id: string; user_id: string; order_id: string }[] = await knex('spike_orders')
    .where('event_id', eventId)
    .select('reservation_id', 'user_id', 'order_id')
  const known = new Set(
    claims.filter((claim) => log.told.has(claim.reservation_id)).map((claim) => claim.order_id),
  )
  return claims.filter((claim) => !known.has(claim.order_id) && !log.unanswered.has(claim.user_id)).length
}
