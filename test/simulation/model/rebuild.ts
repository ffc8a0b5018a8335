/** `src/rebuild.ts`, cut into atomic effects. */
import { commitUnder, GATE_STATUS, underGateLock } from './net.ts'
import { isLost } from './lost.ts'
import { compareRids, reconcilePass, repairByRid } from './reconcile.ts'
import { claimsOfEvent, markApplied, raiseEpoch, type Postgres } from './postgres.ts'
import { effect, StoreDown, type Steps, type Work } from './process.ts'
import {
  emptyKeys,
  endEntries,
  setStatus,
  swap,
  type LogEntry,
  type UnitKeys,
  type UnitRecord,
} from './redis.ts'
import type { World } from './world.ts'

/** Rebuilds an event that Redis has lost: no gate, a closed one, or the gate of another run of the server. */
export function* rebuildIfLost(world: World): Work {
  if (yield* effect('read gate', () => isLost(world)))
    yield* rebuildWhen(world, () => effect('read gate', () => isLost(world)))
}

/** @param isNeeded asked under the lock @returns whether it was rebuilt */
export function* rebuildWhen(world: World, isNeeded: () => Steps<boolean>): Steps<boolean> {
  let rebuilt = false
  yield* underGateLock(world, function* (lock) {
    if (!(yield* isNeeded())) return
    yield* rebuildLocked(world, lock)
    rebuilt = true
  })
  return rebuilt
}

export function reconcile(world: World): Work {
  return reconcilePass(world, rebuildWhen)
}

export function rebuild(world: World): Work {
  return underGateLock(world, (lock) => rebuildLocked(world, lock))
}

type Claims = ReturnType<typeof claimsOfEvent>

interface Survivors {
  records: Map<string, UnitRecord>
  log: readonly LogEntry[]
}

function* rebuildLocked(world: World, lock: object): Work {
  const { redis, pg } = world
  const epoch = yield* effect('raise epoch', () => raiseEpoch(pg))
  if (!world.has('rebuild-with-gate-open')) yield* effect('gate closed', () => setStatus(redis, 'closed'))
  const records = yield* effect('read records', () => [...redis.states])
  const log = yield* effect('read log', () => redis.log)
  const snapshot = yield* effect('read snapshot', () => snapshotOf(pg))
  const survivors = survivorsOf(records, log)
  if (world.has('rebuild-forgets-in-flight')) survivors.records.clear()
  const inFlight = inFlightOf(survivors, snapshot.claims)
  const next = nextState(inFlight, snapshot)
  const staged = { ...next, states: new Map(next.states), holders: new Map(next.holders) }
  yield* effect('stage', () => redis.staged.set(epoch, staged))
  const { granted, available, perUserLimit, lapseLimit } = snapshot.event
  const reply = yield* effect('swap', () =>
    swap(redis, {
      epoch,
      granted,
      perUserLimit,
      lapseLimit,
      paid: unitsOf(snapshot.claims.filter((claim) => claim.state === 'live' && claim.paid)),
      stock: available - (world.has('blind-set-on-rebuild') ? 0 : unitsOf(inFlight.values())),
    }),
  )
  if (reply !== 'SWAPPED') throw new StoreDown(`swap is ${reply}`)
  const decided = decidedRids(snapshot.claims)
  const ended = survivors.log.filter(({ rid }) => decided.has(rid)).map(({ id }) => id)
  yield* effect('end log entries', () => endEntries(redis, ended))
  // What was applied to the new state already changes nothing when it is applied again.
  const rids = { records: new Map(next.states), holders: new Map(next.holders) }
  const claims = yield* effect('read claims', () => claimsOfEvent(pg))
  yield* repairByRid(world, compareRids(claims, rids))
  const status = GATE_STATUS[yield* effect('read event', () => pg.event.status)]
  yield* effect(`gate ${status}`, () => setStatus(redis, status))
  yield* effect('mark applied', () => commitUnder(world, lock, () => markApplied(pg, snapshot.ledgerIds)))
}

interface Snapshot {
  event: Postgres['event']
  claims: Claims
  ledgerIds: string[]
}

function snapshotOf(pg: Postgres): Snapshot {
  return { event: { ...pg.event }, claims: claimsOfEvent(pg), ledgerIds: pg.ledger.map(({ id }) => id) }
}

/** Held and queued units, from the records and from the log; either may have lost some. */
function survivorsOf(states: readonly [string, UnitRecord][], log: readonly LogEntry[]): Survivors {
  const records = new Map(states.filter(([, { state }]) => state === 'held' || state === 'queued'))
  for (const { id, rid, user, quantity, reservedAt } of log)
    if (!records.has(rid)) records.set(rid, { state: 'held', quantity, user, reservedAt, logId: id })
  return { records, log }
}

/** Undecided units: those that survived, and those that only the inbox knows. */
function inFlightOf(survivors: Survivors, claims: Claims): Map<string, UnitRecord> {
  const decided = decidedRids(claims)
  const inFlight = new Map([...survivors.records].filter(([rid]) => !decided.has(rid)))
  for (const { rid, user, quantity, reservedAt, state } of claims)
    if (state === 'undecided' && !inFlight.has(rid))
      inFlight.set(rid, { state: 'queued', quantity, user, reservedAt, logId: undefined })
  return inFlight
}

function nextState(inFlight: ReadonlyMap<string, UnitRecord>, { claims, ledgerIds }: Snapshot): UnitKeys {
  const next = emptyKeys()
  next.adjustments = new Set(ledgerIds)
  for (const [rid, record] of inFlight) {
    next.states.set(rid, record)
    next.holders.set(record.user, rid)
  }
  for (const claim of claims) {
    if (claim.state !== 'gone' || !claim.ordered) continue
    next.states.set(claim.rid, recordOf(claim, 'released'))
    next.lapses.set(claim.user, (next.lapses.get(claim.user) ?? 0) + 1)
  }
  // Last, because a live claim is what its buyer holds, whatever else of them is in flight.
  for (const claim of claims) {
    if (claim.state !== 'live') continue
    next.states.set(claim.rid, recordOf(claim, claim.paid ? 'paid' : 'confirmed'))
    next.holders.set(claim.user, claim.rid)
  }
  return next
}

function recordOf({ quantity, user, reservedAt }: Claims[number], state: UnitRecord['state']): UnitRecord {
  return { state, quantity, user, reservedAt, logId: undefined }
}

function decidedRids(claims: Claims): Set<string> {
  return new Set(claims.filter(({ state }) => state !== 'undecided').map(({ rid }) => rid))
}

function unitsOf(claims: Iterable<{ quantity: number }>): number {
  let units = 0
  for (const { quantity } of claims) units += quantity
  return units
}
