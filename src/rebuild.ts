/**
 * Rebuilding an event's Redis state from PostgreSQL while messages are in flight.
 *
 * The gate is closed, so nothing new is taken. What survived in Redis is kept, PostgreSQL is read in one snapshot,
 * the new state is gathered beside the old one and swapped in with a higher epoch. Verdicts that were committed after
 * the snapshot may have been applied to the old state, so every rid is held against PostgreSQL once more. The gate is
 * opened last: whatever dies before leaves it closed, which the sweep takes for a rebuild to begin again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import { SYSTEM, type Actor } from './audit/audit.ts'
import { claimsOfEvent, type ReservationClaim } from './orders/claims.ts'
import type { Logger } from './platform/logger.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import {
  allRecords,
  endLogEntries,
  readSurvivors,
  stageState,
  type NextState,
  type Survivors,
} from './reserve/rebuilding.ts'
import { decodeRecord, type UnitRecord } from './reserve/record.ts'
import { spikeKeys } from './reserve/keys.ts'
import type { spikeScripts } from './reserve/scripts.ts'
import { GATE_STATUS, lockGate } from './sale.ts'
import { SpikeEvent } from './spike-events/model.ts'
import {
  adjustmentIds,
  markAdjustmentsApplied,
  raiseEpoch,
  type EpochRaise,
} from './spike-events/rebuilding.ts'

export interface RebuildDependencies {
  knex: Knex
  redis: Redis
  scripts: Pick<Scripts<typeof spikeScripts>, 'setStatus' | 'swap' | 'confirm' | 'markPaid' | 'release'>
  /** Reservations that wait in the broker, of all events. */
  backlog: () => Promise<number>
  log: Logger
}

export type Rebuilt = { kind: 'done' } | Exclude<EpochRaise, { kind: 'raised' }>

/** Reservations of a lost log are only in the broker: they are waited for, but not for ever. */
const BACKLOG_WITHIN_MS = 10_000

/** Rebuilds one event; other rebuilds and gate changes of it wait for the event's advisory lock. */
export function rebuildSale(deps: RebuildDependencies, id: string, actor: Actor): Promise<Rebuilt> {
  return underLock(deps, id, (lock) => rebuildLocked(deps, lock, id, actor))
}

/**
 * Rebuilds an event whose gate is missing, because Redis has lost it, or closed, because a rebuild has died.
 * @returns whether it had to
 */
export async function rebuildIfLost(deps: RebuildDependencies, id: string): Promise<boolean> {
  if (!(await isLost(deps, id))) return false
  const rebuilt = await underLock(deps, id, async (lock): Promise<Rebuilt | undefined> => {
    const event = await SpikeEvent.query(lock).findById(id).select('opened_at')
    // Whoever held the lock before may have done it, or it was never opened.
    if (event === undefined || event.opened_at === null || !(await isLost(deps, id))) return undefined
    return rebuildLocked(deps, lock, id, SYSTEM)
  })
  return rebuilt?.kind === 'done'
}

async function isLost({ redis }: RebuildDependencies, id: string): Promise<boolean> {
  const status = await redis.hget(spikeKeys(id).gate, 'status')
  return status === null || status === 'closed'
}

/** The lock's connection has nothing to do meanwhile, which is no reason to end it. */
async function underLock<T extends Rebuilt | undefined>(
  deps: RebuildDependencies,
  id: string,
  work: (lock: Knex.Transaction) => Promise<T>,
): Promise<T> {
  return deps.knex.transaction(async (lock) => {
    await lock.raw('SET LOCAL idle_in_transaction_session_timeout = 0')
    await lockGate(lock, id)
    return work(lock)
  })
}

async function rebuildLocked(
  deps: RebuildDependencies,
  lock: Knex.Transaction,
  id: string,
  actor: Actor,
): Promise<Rebuilt> {
  const raise = await raiseEpoch(deps.knex, id, actor)
  if (raise.kind !== 'raised') return raise
  await deps.scripts.setStatus({ eventId: id, status: 'closed' })
  await backlogDrained(deps)
  const survivors = await readSurvivors(deps.redis, id)
  const snapshot = await readSnapshot(deps.knex, id)
  await stageState(deps.redis, id, raise.epoch, nextState(survivors, snapshot))
  await swapIn(deps, raise.epoch, survivors, snapshot)
  await applyVerdictsByRid(deps, id)
  await openGate(deps, id)
  await markAdjustmentsApplied(lock, snapshot.adjustmentIds)
  deps.log.info({ eventId: id, epoch: raise.epoch, claims: snapshot.claims.length }, 'event rebuilt')
  return { kind: 'done' }
}

async function backlogDrained({ backlog, log }: RebuildDependencies): Promise<void> {
  for (const end = Date.now() + BACKLOG_WITHIN_MS; ; await sleep(50)) {
    // A broker that does not answer is waited for like a backlog: what it holds is adopted when it is decided.
    const waiting = await backlog().catch((error: Error) => error.message)
    if (waiting === 0) return
    if (Date.now() > end) return log.warn({ waiting }, 'rebuild goes on without the backlog')
  }
}

interface Snapshot {
  event: SpikeEvent
  claims: ReservationClaim[]
  adjustmentIds: string[]
}

/** What PostgreSQL says at one moment. */
function readSnapshot(knex: Knex, id: string): Promise<Snapshot> {
  return knex.transaction(
    async (trx) => {
      const event = await SpikeEvent.query(trx).findById(id)
      if (event === undefined) throw new Error(`event ${id} is gone`)
      return { event, claims: await claimsOfEvent(trx, id), adjustmentIds: await adjustmentIds(trx, id) }
    },
    { isolationLevel: 'repeatable read', readOnly: true },
  )
}

/** Live claims as PostgreSQL has them, undecided ones as they survived or, if they did not, as the inbox has them. */
function nextState(survivors: Survivors, { claims, adjustmentIds }: Snapshot): NextState {
  const next: NextState = { records: new Map(), holders: new Map(), lapses: new Map(), adjustmentIds }
  const put = (rid: string, userId: string, record: UnitRecord | string) => {
    next.records.set(rid, record)
    next.holders.set(userId, rid)
  }
  for (const [rid, { text, record }] of undecidedSurvivors(survivors, claims)) put(rid, record.userId, text)
  for (const claim of claims) {
    if (claim.state === 'undecided' && !next.records.has(claim.rid))
      put(claim.rid, claim.userId, recordOf(claim, 'queued'))
    if (claim.state !== 'gone' || claim.orderId === null) continue
    // A late word on an order that was closed must find that its unit is back, not a rid that nobody knows.
    next.records.set(claim.rid, { ...recordOf(claim, 'released'), reason: claim.reason ?? undefined })
    next.lapses.set(claim.userId, (next.lapses.get(claim.userId) ?? 0) + 1)
  }
  // Last, because a live claim is what its buyer holds, whatever else of them is in flight.
  for (const claim of claims)
    if (claim.state === 'live')
      put(claim.rid, claim.userId, recordOf(claim, claim.orderStatus === 'paid' ? 'paid' : 'confirmed'))
  return next
}

function undecidedSurvivors(survivors: Survivors, claims: readonly ReservationClaim[]) {
  const decided = decidedRids(claims)
  return [...survivors.records].filter(([rid]) => !decided.has(rid))
}

function decidedRids(claims: readonly ReservationClaim[]): Set<string> {
  return new Set(claims.filter(({ state }) => state !== 'undecided').map(({ rid }) => rid))
}

function recordOf(claim: ReservationClaim, state: UnitRecord['state']): UnitRecord {
  return {
    state,
    quantity: claim.quantity,
    userId: claim.userId,
    reservedAtMs: claim.reservedAtMs,
    orderId: claim.orderId ?? undefined,
    expiresAtMs: claim.expiresAtMs ?? undefined,
    reason: undefined,
  }
}

/** Puts the new state in place; its gate is closed still. */
async function swapIn(
  { redis, scripts }: RebuildDependencies,
  epoch: number,
  survivors: Survivors,
  { event, claims }: Snapshot,
): Promise<void> {
  const inFlight = new Map(
    claims.filter(({ state }) => state === 'undecided').map((c) => [c.rid, c.quantity]),
  )
  for (const [rid, { record }] of undecidedSurvivors(survivors, claims)) inFlight.set(rid, record.quantity)
  const paid = claims.filter(({ state, orderStatus }) => state === 'live' && orderStatus === 'paid')
  const reply = await scripts.swap({
    eventId: event.id,
    epoch,
    startMs: event.start_at.getTime(),
    endMs: event.end_at.getTime(),
    granted: event.granted,
    paid: sum(paid.map(({ quantity }) => quantity)),
    perUserLimit: event.per_user_limit,
    lapseLimit: event.lapse_limit,
    stock: event.available - sum(inFlight.values()),
  })
  if (reply === 'STALE') throw new Error(`the gate of event ${event.id} was opened during its rebuild`)
  const decided = decidedRids(claims)
  const ended = [...survivors.logIds].filter(([rid]) => decided.has(rid)).map(([, logId]) => logId)
  await endLogEntries(redis, event.id, ended)
}

/** The event may have been paused or ended since the snapshot. */
async function openGate({ knex, scripts }: RebuildDependencies, id: string): Promise<void> {
  const event = await SpikeEvent.query(knex).findById(id).select('status')
  if (event === undefined || event.status === 'draft') throw new Error(`event ${id} is gone`)
  await scripts.setStatus({ eventId: id, status: GATE_STATUS[event.status] })
}

function sum(units: Iterable<number>): number {
  return [...units].reduce((total, n) => total + n, 0)
}

/** Brings each rid in Redis after its verdict in PostgreSQL. Every step is idempotent by the rid. */
async function applyVerdictsByRid(deps: RebuildDependencies, eventId: string): Promise<void> {
  const records = await allRecords(deps.redis, eventId)
  const claims = await claimsOfEvent(deps.knex, eventId)
  for (const claim of claims) {
    const text = records.get(claim.rid)
    const state = text === undefined ? undefined : decodeRecord(text).state
    await applyVerdict(deps, eventId, claim, state)
  }
}

async function applyVerdict(
  { scripts }: RebuildDependencies,
  eventId: string,
  claim: ReservationClaim,
  state: UnitRecord['state'] | undefined,
): Promise<void> {
  const { rid, userId, quantity, orderId, expiresAtMs, reason } = claim
  if (claim.state === 'live' && orderId !== null && expiresAtMs !== null) {
    if (state !== 'confirmed' && state !== 'paid')
      await scripts.confirm({ eventId, rid, userId, quantity, orderId, expiresAtMs })
    if (claim.orderStatus === 'paid' && state !== 'paid') await scripts.markPaid({ eventId, rid })
  }
  if (claim.state === 'gone' && reason !== null && state !== undefined && state !== 'released')
    await scripts.release({ eventId, rid, userId, quantity, reason })
}
