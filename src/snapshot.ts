/**
 * What operators watch of a running sale, in parts: each is read by itself, has the time of the store that it comes
 * from, and fails by itself. Sale and gate take a handful of reads whatever the size of the event; the books walk over
 * all of its reservations.
 */
import type { Knex } from 'knex'
import {
  readDecisionTimes,
  readMoney,
  readOrders,
  readRecentDecisionTimes,
  readTurnover,
  readVoids,
} from './figures/course.ts'
import { inSnapshot } from './figures/ledger.ts'
import { readUnits, type UnitFigures } from './figures/units.ts'
import { serverOf } from './platform/redis/server.ts'
import type { RedisClient } from './platform/redis/nodes.ts'
import { lastingOf } from './reconcile.ts'
import { isLost, readGate, type Gate } from './reserve/gate.ts'
import { spikeKeys } from './reserve/keys.ts'
import { readOutcomes, type Outcome } from './reserve/outcome-counts.ts'
import { findEvent, type SpikeEventView } from './spike-events/model.ts'

export interface SnapshotDependencies {
  knex: Knex
  redis: RedisClient
}

export interface SaleFigures {
  /** PostgreSQL's clock; and how far it is ahead of this process's, at most as exact as half of the round trip. */
  asOfMs: number
  skewMs: number
  event: SpikeEventView
  productName: string
}

/** @returns undefined when there is no such event */
export async function readSale(
  { knex }: SnapshotDependencies,
  eventId: string,
): Promise<SaleFigures | undefined> {
  const askedMs = Date.now()
  const event = await findEvent(knex, eventId)
  if (event === undefined) return undefined
  const asOfMs = event.server_time.getTime()
  const skewMs = asOfMs - middle(askedMs)
  const product = await knex('products').where({ id: event.product_id }).first('name')
  return { asOfMs, skewMs, event, productName: product?.name ?? '' }
}

export interface GateFigures {
  /** The clock of Redis, which judges the window; and how far it is ahead of this process's. */
  asOfMs: number
  skewMs: number
  /** Undefined for an event that was never opened, and for one that Redis has lost. */
  gate: Gate | undefined
  /** Only a rebuild brings the gate back, or one is at work. */
  lost: boolean
  /** Units of paid orders, as the gate knows them. */
  paid: number
  /** How all purchase requests have ended; each process of the API adds its own once a second. */
  outcomes: Partial<Record<Outcome, number>>
}

export async function readGateFigures(
  { redis }: Pick<SnapshotDependencies, 'redis'>,
  eventId: string,
): Promise<GateFigures> {
  const askedMs = Date.now()
  const [{ nowMs: asOfMs, runId }, gate, paid, outcomes] = await Promise.all([
    serverOf(redis, spikeKeys(eventId).gate),
    readGate(redis, eventId),
    redis.hget(spikeKeys(eventId).gate, 'paid'),
    readOutcomes(redis, eventId),
  ])
  const skewMs = asOfMs - middle(askedMs)
  return { asOfMs, skewMs, gate, lost: isLost(gate, runId), paid: Number(paid), outcomes }
}

/** Half-way between question and answer. */
function middle(askedMs: number): number {
  return Math.round((askedMs + Date.now()) / 2)
}

export type Books = NonNullable<Awaited<ReturnType<typeof readBooks>>>

/** PostgreSQL has nothing to do while Redis is walked over, which takes seconds for a very large sale. */
const WALK_WITHIN_MS = 60_000

/**
 * The figures of one snapshot of PostgreSQL and a walk over Redis.
 * @param earlier what the look before this one has found: only what both have found is told as a fault
 * @returns undefined when there is no such event
 */
export function readBooks({ knex, redis }: SnapshotDependencies, eventId: string, earlier?: BooksSeen) {
  return inSnapshot(knex, async (trx) => {
    // Takes no snapshot yet.
    await trx.raw(`SET LOCAL idle_in_transaction_session_timeout = ${WALK_WITHIN_MS}`)
    const event = await findEvent(trx, eventId)
    if (event === undefined) return undefined
    const units = await readUnits(trx, redis, event)
    return {
      asOfMs: event.server_time.getTime(),
      currency: event.currency,
      ...units,
      lasting: lastingOf(earlier?.findings ?? [], units.findings),
      drifting: isLasting(earlier?.meter?.drift, units.meter?.drift),
      orders: await readOrders(trx, eventId),
      due: await readDue(trx, eventId),
      money: await readMoney(trx, eventId),
      voids: await readVoids(trx, eventId),
      decisions: await readDecisionTimes(trx, eventId),
      recentDecisions: await readRecentDecisionTimes(trx, eventId),
      ...(await readTurnover(trx, eventId)),
    }
  })
}

type BooksSeen = Pick<UnitFigures, 'meter' | 'findings'>

/** Drift of one look may be a unit on its way. */
function isLasting(before = 0, now = 0): boolean {
  return now !== 0 && Math.sign(before) === Math.sign(now)
}

/** Numbers of pending orders: those whose deadline is within a minute, and those more than 10 s behind it. */
export interface DueOrders {
  soon: number
  overdue: number
}

async function readDue(trx: Knex.Transaction, eventId: string): Promise<DueOrders> {
  const { rows } = await trx.raw(
    `SELECT count(*) FILTER (WHERE expires_at BETWEEN now() AND now() + interval '60 s')::int AS soon,
            count(*) FILTER (WHERE expires_at < now() - interval '10 s')::int AS overdue
       FROM orders WHERE event_id = ? AND status = 'pending'`,
    [eventId],
  )
  return rows[0]
}
