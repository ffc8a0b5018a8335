/**
 * The stock Redis of one event: its keys, and the scripts of `src/reserve/lua` over them, each as one function with the
 * same replies. `conformance.test.ts` holds them against the real scripts. Records and entries are never changed in
 * place, so a copy of the maps is a copy of the state.
 */
import type { Mutant } from './mutants.ts'

export type GateStatus = 'open' | 'paused' | 'ended' | 'closed'
export type UnitState = 'held' | 'queued' | 'confirmed' | 'paid' | 'released'

export interface Gate {
  status: GateStatus
  epoch: number
  granted: number
  paid: number
  perUserLimit: number
  lapseLimit: number
  runId: number
}

export interface UnitRecord {
  state: UnitState
  quantity: number
  user: string
  reservedAt: number
  logId: number | undefined
}

export interface LogEntry {
  id: number
  rid: string
  user: string
  quantity: number
  reservedAt: number
}

/** All keys of the event but gate, stock and log. */
export interface UnitKeys {
  holders: Map<string, string>
  states: Map<string, UnitRecord>
  lapses: Map<string, number>
  adjustments: Set<string>
}

export interface StockRedis extends UnitKeys {
  gate: Gate | undefined
  stock: number
  log: readonly LogEntry[]
  /** States that rebuilds have gathered, by epoch. */
  staged: Map<number, UnitKeys>
  /** Name of the server's run: another one after each restart. */
  runId: number
  /** Number of changes; and of those that no script made: losses, restarts, swaps. */
  writes: number
  upheavals: number
  planted: Mutant | undefined
}

export function emptyKeys(): UnitKeys {
  return { holders: new Map(), states: new Map(), lapses: new Map(), adjustments: new Set() }
}

export function openRedis(
  gate: Pick<Gate, 'granted' | 'perUserLimit' | 'lapseLimit'>,
  planted?: Mutant,
): StockRedis {
  return {
    ...emptyKeys(),
    gate: { ...gate, status: 'open', epoch: 1, paid: 0, runId: 1 },
    stock: gate.granted,
    log: [],
    staged: new Map(),
    runId: 1,
    writes: 0,
    upheavals: 0,
    planted,
  }
}

export type ReserveReply =
  | { kind: 'accepted' | 'existing'; rid: string }
  | { kind: 'quantity_limit' | 'corrupt' | 'not_ready' | 'paused' | 'ended' }
  | { kind: 'lapse_limit' | 'all_held' | 'sold_out' }

export interface Claimed {
  rid: string
  user: string
  quantity: number
}

export function reserve(redis: StockRedis, claim: Claimed, now: number): ReserveReply {
  const { rid, user, quantity } = claim
  const { gate, holders, states } = redis
  if (gate === undefined || gate.status === 'closed') return { kind: 'not_ready' }
  const holder = holders.get(user)
  const record = states.get(rid)
  const resent = record?.quantity === quantity && record.user === user
  if (holder !== undefined) return { kind: holder === rid && resent ? 'accepted' : 'existing', rid: holder }
  const refusal = refusalOf(redis, gate, claim)
  if (refusal !== undefined) return refusal
  if (record !== undefined) return resent ? { kind: 'accepted', rid } : { kind: 'corrupt' }
  const id = redis.writes + 1
  holders.set(user, rid)
  redis.log = [...redis.log, { id, rid, user, quantity, reservedAt: now }]
  states.set(rid, { state: 'held', quantity, user, reservedAt: now, logId: id })
  addUnits(redis, -quantity)
  return { kind: 'accepted', rid }
}

function refusalOf(redis: StockRedis, gate: Gate, { user, quantity }: Claimed): ReserveReply | undefined {
  if (gate.status === 'ended') return { kind: 'ended' }
  if (gate.status === 'paused') return { kind: 'paused' }
  if (quantity > gate.perUserLimit) return { kind: 'quantity_limit' }
  if (redis.stock < quantity) return { kind: gate.granted - gate.paid < quantity ? 'sold_out' : 'all_held' }
  return (redis.lapses.get(user) ?? 0) > gate.lapseLimit ? { kind: 'lapse_limit' } : undefined
}

/** @returns how many records changed */
export function markQueued(redis: StockRedis, rids: readonly string[]): number {
  let changed = 0
  for (const rid of rids) {
    const record = redis.states.get(rid)
    if (record?.state !== 'held') continue
    redis.states.set(rid, { ...record, state: 'queued' })
    changed++
    if (redis.planted === 'log-entry-deleted-on-confirm') endEntry(redis, record.logId)
  }
  redis.writes += changed
  return changed
}

export type ConfirmReply = 'CONFIRMED' | 'ADOPTED' | 'HOLDER' | 'UNCHANGED' | 'NOT_READY'

export function confirm(redis: StockRedis, { rid, user, quantity }: Claimed, now: number): ConfirmReply {
  const { gate, holders, states, planted } = redis
  if (gate === undefined) return 'NOT_READY'
  const record = states.get(rid)
  if (record === undefined) {
    states.set(rid, { state: 'confirmed', quantity, user, reservedAt: now, logId: undefined })
    holders.set(user, rid)
    addUnits(redis, planted === 'adopt-without-decrement' ? 0 : -quantity)
    return 'ADOPTED'
  }
  if (record.state === 'released' && planted !== 'confirm-revives-released') return 'UNCHANGED'
  const held = holders.get(user) === rid
  if (!held) {
    holders.set(user, rid)
    redis.writes++
  }
  if (record.state === 'confirmed' || record.state === 'paid') return held ? 'UNCHANGED' : 'HOLDER'
  states.set(rid, { ...record, state: 'confirmed', logId: undefined })
  endEntry(redis, record.logId)
  return 'CONFIRMED'
}

export type ReleaseReply = 'RELEASED' | 'TOMBSTONE' | 'FREED' | 'UNCHANGED' | 'NOT_READY'

export function release(redis: StockRedis, { rid, user, quantity }: Claimed, lapsed: boolean): ReleaseReply {
  const { gate, holders, states, lapses, planted } = redis
  if (gate === undefined) return 'NOT_READY'
  const record = states.get(rid)
  const holds = holders.get(user) === rid
  if (record === undefined) {
    states.set(rid, { state: 'released', quantity, user, reservedAt: 0, logId: undefined })
    if (holds) holders.delete(user)
    addUnits(redis, planted === 'release-of-unknown-rid-raises-stock' ? quantity : 0)
    return 'TOMBSTONE'
  }
  if (record.state === 'released' && planted !== 'release-without-state-check') {
    if (!holds) return 'UNCHANGED'
    holders.delete(user)
    redis.writes++
    return 'FREED'
  }
  states.set(rid, { ...record, state: 'released', logId: undefined })
  if (holds || planted === 'holder-freed-for-another-rid') holders.delete(user)
  if (lapsed) lapses.set(user, (lapses.get(user) ?? 0) + 1)
  endEntry(redis, record.logId)
  if (record.state === 'paid') gate.paid -= record.quantity
  addUnits(redis, record.quantity)
  return 'RELEASED'
}

export function markPaid(redis: StockRedis, rid: string): 'PAID' | 'UNCHANGED' {
  const record = redis.states.get(rid)
  if (redis.gate === undefined || record?.state !== 'confirmed') return 'UNCHANGED'
  redis.states.set(rid, { ...record, state: 'paid' })
  redis.gate.paid += record.quantity
  redis.writes++
  return 'PAID'
}

export function adjust(
  redis: StockRedis,
  row: { id: string; delta: number },
): 'ADJUSTED' | 'UNCHANGED' | 'NOT_READY' {
  const { gate, adjustments, planted } = redis
  if (gate === undefined) return 'NOT_READY'
  if (adjustments.has(row.id) && planted !== 'adjustment-applied-twice') return 'UNCHANGED'
  adjustments.add(row.id)
  gate.granted += row.delta
  addUnits(redis, row.delta)
  return 'ADJUSTED'
}

export function setStatus(redis: StockRedis, status: GateStatus): 'OK' | 'NOT_READY' {
  if (redis.gate === undefined) return 'NOT_READY'
  if (redis.gate.status !== status) redis.writes++
  redis.gate.status = status
  return 'OK'
}

export interface Swap {
  epoch: number
  granted: number
  paid: number
  perUserLimit: number
  lapseLimit: number
  stock: number
}

export function swap(redis: StockRedis, next: Swap): 'SWAPPED' | 'STALE' | 'LOST' {
  const { gate, planted } = redis
  const { epoch, stock, ...rest } = next
  if (gate !== undefined && gate.status !== 'closed' && planted !== 'rebuild-with-gate-open') return 'STALE'
  if (gate !== undefined && gate.epoch >= epoch) return 'STALE'
  const staged = redis.staged.get(epoch)
  if (staged === undefined && planted !== 'swap-without-staged-state') return 'LOST'
  Object.assign(redis, staged ?? emptyKeys())
  redis.staged.delete(epoch)
  redis.gate = { ...rest, epoch, status: 'closed', runId: redis.runId }
  redis.stock = stock
  redis.writes++
  redis.upheavals++
  return 'SWAPPED'
}

export function endEntries(redis: StockRedis, ids: readonly number[]): void {
  for (const id of ids) endEntry(redis, id)
}

export function unitsInState(redis: StockRedis, ...wanted: UnitState[]): number {
  let units = 0
  for (const { state, quantity } of redis.states.values()) if (wanted.includes(state)) units += quantity
  return units
}

/** What an append-only file of this moment would bring back. */
export function copyOf(redis: StockRedis): StockRedis {
  return {
    ...redis,
    ...copyOfKeys(redis),
    gate: redis.gate && { ...redis.gate },
    staged: new Map([...redis.staged].map(([epoch, keys]) => [epoch, copyOfKeys(keys)])),
  }
}

/** The server comes back with what a file held: an older one, or nothing. */
export function restart(redis: StockRedis, file: StockRedis | 'empty' | 'current'): void {
  const { runId, writes, upheavals, planted } = redis
  const nothing = { ...emptyKeys(), gate: undefined, stock: 0, log: [], staged: new Map() }
  if (file === 'empty') Object.assign(redis, nothing)
  else if (file !== 'current') Object.assign(redis, copyOf(file))
  Object.assign(redis, { runId: runId + 1, writes: writes + 1, upheavals: upheavals + 1, planted })
}

function copyOfKeys({ holders, states, lapses, adjustments }: UnitKeys): UnitKeys {
  return {
    holders: new Map(holders),
    states: new Map(states),
    lapses: new Map(lapses),
    adjustments: new Set(adjustments),
  }
}

function addUnits(redis: StockRedis, units: number): void {
  redis.stock += units
  redis.writes++
}

function endEntry(redis: StockRedis, id: number | undefined): void {
  if (id === undefined) return
  redis.log = redis.log.filter((entry) => entry.id !== id)
  redis.writes++
}
