/**
 * Rebuilding an event's Redis state from PostgreSQL while messages are in flight.
 *
 * The gate is closed, so nothing new is taken. What survived in Redis is kept, PostgreSQL is read in one snapshot,
 * the new state is gathered beside the old one and swapped in with a higher epoch. Verdicts that were committed after
 * the snapshot may have been applied to the old state, so every rid is held against PostgreSQL once more. The gate is
 * opened last: whatever dies before leaves it closed, which the sweep takes for a rebuild to begin again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'
import { SYSTEM, type Actor } from './audit/audit.ts'
import { claimsOfEvent, type ReservationClaim } from './orders/claims.ts'
import { failpoint } from './platform/failpoints.ts'
import type { Logger } from './platform/logger.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import type { RedisClient } from './platform/redis/nodes.ts'
import { compareRids, readSnapshot, repairByRid, type RidsInRedis, type Snapshot } from './reconcile.ts'
import { isLostNow } from './reserve/gate.ts'
import {
  endLogEntries,
  readSurvivors,
  stageState,
  type NextState,
  type Survivors,
} from './reserve/rebuilding.ts'
import { decodeRecord, type UnitRecord } from './reserve/record.ts'
import type { spikeScripts } from './reserve/scripts.ts'
import { GATE_STATUS, GateBusyError, tryLockGate, underGateLock } from './sale.ts'
import { SpikeEvent } from './spike-events/model.ts'
import { markAdjustmentsApplied, raiseEpoch, type EpochRaise } from './spike-events/rebuilding.ts'

export interface RebuildDependencies {
  knex: Knex
  redis: RedisClient
  scripts: Pick<
    Scripts<typeof spikeScripts>,
    'setStatus' | 'swap' | 'confirm' | 'markPaid' | 'release' | 'countUnits'
  >
  /** Reservations that wait in the broker, of all events. */
  backlog: () => Promise<number>
  log: Logger
}

export type Rebuilt = { kind: 'done' } | Exclude<EpochRaise, { kind: 'raised' }>

/** Reservations of a lost log are only in the broker: they are waited for, but buyers do not wait for ever. */
const BACKLOG_WITHIN_MS = 5_000

/**
 * Rebuilds one event; other rebuilds and gate changes of it wait for the event's advisory lock.
 * @throws GateBusyError when others had the lock all the time
 */
export async function rebuildSale(deps: RebuildDependencies, id: string, actor: Actor): Promise<Rebuilt> {
  const rebuilt = await underGateLock(deps.knex, id, async (lock) => {
    await keepLock(lock)
    return rebuildLocked(deps, lock, id, actor, () => backlogDrained(deps))
  })
  if (rebuilt === 'busy') throw new GateBusyError(id)
  return rebuilt
}

/**
 * As `rebuildSale`, unless the event has been rebuilt since it was in this epoch: whoever presses a button twice wants
 * one rebuild. One that has died on its way had raised the epoch already: it is no rebuild, and is begun again.
 * @returns `busy` when others had the lock all the time
 */
export async function rebuildFrom(
  deps: RebuildDependencies,
  id: string,
  epoch: number,
  actor: Actor,
): Promise<Rebuilt | { kind: 'rebuilt_since' | 'busy' }> {
  const rebuilt = await underGateLock(deps.knex, id, async (lock) => {
    await keepLock(lock)
    const event = await SpikeEvent.query(lock).findById(id).select('epoch')
    const isLater = event !== undefined && event.epoch !== epoch
    if (isLater && !(await isLostNow(deps.redis, id))) return { kind: 'rebuilt_since' as const }
    return rebuildLocked(deps, lock, id, actor, () => backlogDrained(deps))
  })
  return rebuilt === 'busy' ? { kind: rebuilt } : rebuilt
}

/**
 * Rebuilds an event when that is needed, unless somebody else has its lock, and with it the work.
 * @param isNeeded asked under the lock: whoever had it before may have done it
 * @returns whether it was rebuilt
 */
export function rebuildWhen(
  deps: RebuildDependencies,
  id: string,
  actor: Actor,
  isNeeded: () => Promise<boolean>,
  drained = () => backlogDrained(deps),
): Promise<boolean> {
  return deps.knex.transaction(async (lock) => {
    await keepLock(lock)
    if (!(await tryLockGate(lock, id)) || !(await isNeeded())) return false
    return (await rebuildLocked(deps, lock, id, actor, drained)).kind === 'done'
  })
}

/**
 * Rebuilds those of the events that Redis has lost, or may have lost a part of. They wait for the broker together:
 * it has one queue for all of them.
 * @returns a rebuild for one event at a time, which resolves with whether it had to
 */
export function lostRebuilder(deps: RebuildDependencies): (id: string) => Promise<boolean> {
  let drained: Promise<void> | undefined
  return async (id) => {
    if (!(await isLostNow(deps.redis, id))) return false
    const isNeeded = async () => {
      const event = await SpikeEvent.query(deps.knex).findById(id).select('opened_at')
      // One that was never opened is opened by whoever follows it.
      return event?.opened_at !== null && (await isLostNow(deps.redis, id))
    }
    return rebuildWhen(deps, id, SYSTEM, isNeeded, () => (drained ??= backlogDrained(deps)))
  }
}

/** Longer than any rebuild: the lock's connection has nothing to do meanwhile, which is no reason to end it. */
const LOCK_ENDS_MS = 300_000

/** A process that has stopped, or was cut off, loses its lock in the end; the epoch keeps it from a swap after that. */
async function keepLock(lock: Knex.Transaction): Promise<void> {
  await lock.raw(`SET LOCAL idle_in_transaction_session_timeout = ${LOCK_ENDS_MS}`)
}

async function rebuildLocked(
  deps: RebuildDependencies,
  lock: Knex.Transaction,
  id: string,
  actor: Actor,
  drained: () => Promise<void>,
): Promise<Rebuilt> {
  const { knex, redis, scripts, log } = deps
  const raise = await raiseEpoch(knex, id, actor)
  if (raise.kind !== 'raised') return raise
  const { epoch } = raise
  const startedAt = performance.now()
  // What a Redis has that was never lost is all there is: nothing of it is in the broker alone.
  const wasLost = await isLostNow(redis, id)
  await scripts.setStatus({ eventId: id, status: 'closed' })
  await failpoint('rebuild.gate-closed')
  if (wasLost) await drained()
  const survivors = await readSurvivors(redis, id)
  const snapshot = await readSnapshot(knex, id)
  if (snapshot === undefined) throw new Error(`event ${id} is gone`)
  const next = nextState(survivors, snapshot)
  await stageState(redis, id, epoch, next)
  await failpoint('rebuild.staged')
  await swapIn(deps, epoch, survivors, snapshot, next)
  await failpoint('rebuild.swapped')
  // What was applied to the new state already changes nothing when it is applied again.
  await repairByRid(deps, id, compareRids(await claimsOfEvent(knex, id), ridsIn(next)))
  await openGate(deps, id)
  await markAdjustmentsApplied(
    lock,
    snapshot.ledger.map((row) => row.id),
  )
  const ms = Math.round(performance.now() - startedAt)
  log.info({ eventId: id, epoch, claims: snapshot.claims.length, ms }, 'event rebuilt')
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

/** Live claims as PostgreSQL has them, undecided ones as they survived or, if they did not, as the inbox has them. */
function nextState(survivors: Survivors, { claims, ledger }: Snapshot): NextState {
  const next: NextState = {
    records: new Map(),
    holders: new Map(),
    lapses: new Map(),
    adjustmentIds: ledger.map((row) => row.id),
  }
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

/** The state that was put in place, as the comparison with PostgreSQL reads it. */
function ridsIn({ records, holders }: NextState): RidsInRedis {
  const decoded = [...records].map(
    ([rid, record]) => [rid, typeof record === 'string' ? decodeRecord(record) : record] as const,
  )
  return { records: new Map(decoded), holders }
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
  next: NextState,
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
    staged: { holders: next.holders.size, records: next.records.size },
  })
  if (reply === 'LOST')
    throw new Error(`redis has lost the new state of event ${event.id} before it was in place`)
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
