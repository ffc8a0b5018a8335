/**
 * What Redis says of an event, rid by rid, against what PostgreSQL says.
 *
 * Redis is read first: it only follows PostgreSQL, so a verdict that it has and PostgreSQL lacks is one that PostgreSQL
 * never gave. What Redis merely lacks may be on its way; whoever acts on a finding has seen it twice. Repairs go by rid,
 * through the scripts that every verdict goes through, which change nothing where nothing is to change.
 */
import type { Knex } from 'knex'
import { claimsOfEvent, type ReservationClaim } from './orders/claims.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import { serverOf } from './platform/redis/server.ts'
import type { RedisClient } from './platform/redis/nodes.ts'
import { spikeKeys } from './reserve/keys.ts'
import { isLost, readGate, type Gate } from './reserve/gate.ts'
import { allHolders, allRecords, chunksOf } from './reserve/rebuilding.ts'
import { decodeRecord, UNIT_STATES, type UnitRecord, type UnitState } from './reserve/record.ts'
import type { spikeScripts } from './reserve/scripts.ts'
import { SpikeEvent, type EventStatus } from './spike-events/model.ts'
import { stockLedger, type LedgerRow } from './spike-events/rebuilding.ts'

export interface ReconcileDependencies {
  knex: Knex
  redis: RedisClient
  scripts: Pick<Scripts<typeof spikeScripts>, 'confirm' | 'markPaid' | 'release' | 'countUnits'>
}

/** How a finding is repaired: by its rid through one of the scripts, or by a rebuild of the whole event. */
export const REMEDIES = {
  /** Live in PostgreSQL; Redis has no verdict on it, or does not know it. */
  unconfirmed: 'confirm',
  /** Its order is paid; Redis knows the order only. */
  unpaid: 'confirm',
  /** A live claim that is not what its buyer holds in Redis: they may take more. */
  unheld: 'confirm',
  /** Void or closed in PostgreSQL; Redis holds its units still. */
  unreleased: 'release',
  /** Void or closed, and its units are back; its buyer is held by it still. */
  barred: 'release',
  /** Live in PostgreSQL, released in Redis, which is final there. */
  released_alive: 'rebuild',
  /** Redis has a verdict that PostgreSQL never gave. */
  unfounded: 'rebuild',
  /** A buyer is held by a rid that neither store knows. */
  stranded: 'rebuild',
  /** No usable gate, or one of another run of Redis. */
  lost: 'rebuild',
  /** Free and held units in Redis are not the granted ones: no rid explains it. */
  miscounted: 'rebuild',
  /** Redis has granted other units than the rows of the stock ledger that it was given. */
  misgranted: 'rebuild',
} as const satisfies Record<string, 'confirm' | 'release' | 'rebuild'>
export type FindingKind = keyof typeof REMEDIES
export const FINDING_KINDS = Object.keys(REMEDIES) as [FindingKind, ...FindingKind[]]

/** What each store may say of a rid. */
export const IN_REDIS = [...UNIT_STATES, 'absent'] as const
export const IN_POSTGRES = ['undecided', 'live', 'gone', 'absent'] as const

/** What is wrong with one rid, and what both stores say of it. */
export interface RidFinding {
  kind: Exclude<FindingKind, 'lost' | 'miscounted' | 'misgranted'>
  rid: string
  redis: (typeof IN_REDIS)[number]
  postgres: (typeof IN_POSTGRES)[number]
  claim: ReservationClaim | undefined
}

/** What is wrong with the event as a whole; `units` that Redis has too many, or too few where it is negative. */
export type EventFinding = { kind: 'lost' } | { kind: 'miscounted' | 'misgranted'; units: number }

export type Finding = RidFinding | EventFinding

export type Examination =
  | { kind: 'examined'; drift: number | null; findings: Finding[] }
  | { kind: 'not_found' }
  | { kind: 'wrong_state'; status: EventStatus }

/** Compares both stores; `drift` is null where there is no gate to compare. */
export async function examineEvent(deps: ReconcileDependencies, eventId: string): Promise<Examination> {
  const key = spikeKeys(eventId).gate
  // Sent together: what the stock that is read tells of was reserved before the second time, and of all before the first.
  const [{ runId, nowMs: fromMs }, before, { nowMs: untilMs }] = await Promise.all([
    serverOf(deps.redis, key),
    readGate(deps.redis, eventId),
    serverOf(deps.redis, key),
  ])
  const redis = isLost(before, runId) ? undefined : await readRids(deps.redis, eventId)
  const gate = await readGate(deps.redis, eventId)
  const snapshot = await readSnapshot(deps.knex, eventId)
  if (snapshot === undefined) return { kind: 'not_found' }
  const { event, claims, ledger } = snapshot
  if (event.status === 'draft') return { kind: 'wrong_state', status: event.status }
  // One that was never opened is opened by whoever follows it, see `sale.ts`.
  if (event.opened_at === null) return { kind: 'examined', drift: null, findings: [] }
  if (redis === undefined || gate === undefined || isLost(gate, runId))
    return { kind: 'examined', drift: null, findings: [{ kind: 'lost' }] }
  // Records of two epochs were read: there is nothing to learn from them.
  if (gate.epoch !== before?.epoch) return { kind: 'examined', drift: null, findings: [] }
  const { inFlight, releasing } = unitsOf(claims, redis)
  return {
    kind: 'examined',
    drift: event.available - inFlight - releasing - gate.stock,
    findings: [
      ...(gate.cleared ? [] : compareRids(claims, redis)),
      ...(await compareUnits(deps, eventId, before, heldWithin(redis, fromMs, untilMs))),
      ...compareGrants(ledger, gate),
    ],
  }
}

/** What PostgreSQL says of an event at one moment. */
export interface Snapshot {
  event: SpikeEvent
  claims: ReservationClaim[]
  ledger: LedgerRow[]
}

/** @returns undefined when there is no such event */
export function readSnapshot(knex: Knex, eventId: string): Promise<Snapshot | undefined> {
  return knex.transaction(
    async (trx) => {
      const event = await SpikeEvent.query(trx).findById(eventId)
      if (event === undefined) return undefined
      return { event, claims: await claimsOfEvent(trx, eventId), ledger: await stockLedger(trx, eventId) }
    },
    { isolationLevel: 'repeatable read', readOnly: true },
  )
}

/** What Redis says: state and units of every rid, and the rid that each buyer holds. */
export interface RidsInRedis {
  records: ReadonlyMap<string, { state: UnitState; quantity: number }>
  holders: ReadonlyMap<string, string>
}

interface RecordsInRedis extends RidsInRedis {
  records: ReadonlyMap<string, UnitRecord>
}

/** Holders first: a rid's record is there as soon as its buyer holds it, and stays. */
export async function readRids(redis: RedisClient, eventId: string): Promise<RecordsInRedis> {
  const holders = await allHolders(redis, eventId)
  const texts = await allRecords(redis, eventId)
  return { holders, records: new Map([...texts].map(([rid, text]) => [rid, decodeRecord(text)])) }
}

/** Every rid on which the stores disagree; what is undecided in PostgreSQL is in flight, and no disagreement. */
export function compareRids(claims: readonly ReservationClaim[], redis: RidsInRedis): RidFinding[] {
  const findings: RidFinding[] = []
  const note = (kind: RidFinding['kind'] | undefined, rid: string, claim?: ReservationClaim) => {
    if (kind === undefined) return
    const state = redis.records.get(rid)?.state ?? 'absent'
    findings.push({ kind, rid, redis: state, postgres: claim?.state ?? 'absent', claim })
  }
  const known = new Set<string>()
  const claimants = new Set<string>()
  for (const claim of claims) {
    known.add(claim.rid)
    if (claim.state === 'live') claimants.add(claim.userId)
    const isHolder = redis.holders.get(claim.userId) === claim.rid
    note(faultOf(claim, redis.records.get(claim.rid)?.state, isHolder), claim.rid, claim)
  }
  for (const [rid, { state }] of redis.records)
    if (!known.has(rid) && (state === 'confirmed' || state === 'paid')) note('unfounded', rid)
  for (const [userId, rid] of redis.holders) {
    const holdsUnits = (redis.records.get(rid)?.state ?? 'released') !== 'released'
    if (!known.has(rid) && !holdsUnits && !claimants.has(userId)) note('stranded', rid)
  }
  return findings
}

function faultOf(
  claim: ReservationClaim,
  state: UnitState | undefined,
  isHolder: boolean,
): RidFinding['kind'] | undefined {
  switch (claim.state) {
    case 'undecided':
      return state === undefined || isInFlight(state) ? undefined : 'unfounded'
    case 'gone':
      if (state === undefined || state === 'released') return isHolder ? 'barred' : undefined
      return 'unreleased'
    case 'live':
      if (state === 'released') return 'released_alive'
      if (state === undefined || isInFlight(state)) return 'unconfirmed'
      if (state === 'confirmed' && claim.orderStatus === 'paid') return 'unpaid'
      return isHolder ? undefined : 'unheld'
  }
}

function isInFlight(state: UnitState): boolean {
  return state === 'held' || state === 'queued'
}

/** Units that Redis holds without a verdict, and those that PostgreSQL has let go of. */
function unitsOf(claims: readonly ReservationClaim[], { records }: RidsInRedis) {
  const decided = new Map(claims.map(({ rid, state }) => [rid, state]))
  const units = { inFlight: 0, releasing: 0 }
  for (const [rid, { state, quantity }] of records) {
    if (state === 'released') continue
    const verdict = decided.get(rid) ?? 'undecided'
    if (verdict === 'undecided') units.inFlight += quantity
    else if (verdict === 'gone') units.releasing += quantity
  }
  return units
}

/** Units held that were reserved before a stock was read: at least, and at most. */
interface HeldUnits {
  least: number
  most: number
}

function heldWithin({ records }: RecordsInRedis, fromMs: number, untilMs: number): HeldUnits {
  const held = { least: 0, most: 0 }
  for (const { state, quantity, reservedAtMs } of records.values()) {
    if (state === 'released') continue
    if (reservedAtMs < fromMs) held.least += quantity
    if (reservedAtMs <= untilMs) held.most += quantity
  }
  return held
}

/**
 * R + held = T within Redis. What is reserved behind the stock's back while the records are walked over is left out by
 * its time. Only when the sum is off, as units given back meanwhile make it, all is counted at one moment, which keeps
 * Redis from other work for as long as it takes.
 * @param gate read before the records
 */
async function compareUnits(
  { scripts }: ReconcileDependencies,
  eventId: string,
  gate: Gate,
  held: HeldUnits,
): Promise<EventFinding[]> {
  const expected = gate.granted - gate.stock
  if (held.least <= expected && expected <= held.most) return []
  const counts = await scripts.countUnits({ eventId })
  if (counts === 'NOT_READY') return [{ kind: 'lost' }]
  const { granted, stock, queued, confirmed, paid } = counts
  const units = stock + counts.held + queued + confirmed + paid - granted
  return units === 0 ? [] : [{ kind: 'miscounted', units }]
}

export function compareGrants(ledger: readonly LedgerRow[], gate: Gate): EventFinding[] {
  const applied = ledger.filter((row) => row.applied).reduce((total, { delta }) => total + delta, 0)
  return gate.granted === applied ? [] : [{ kind: 'misgranted', units: gate.granted - applied }]
}

/** The findings of a second look that were there at the first one: what was in flight is gone, or has moved on. */
export function lastingOf<F extends Finding>(first: readonly Finding[], second: readonly F[]): F[] {
  const seen = new Set(first.map(nameOf))
  return second.filter((finding) => seen.has(nameOf(finding)))
}

function nameOf(finding: Finding): string {
  if ('rid' in finding) return `${finding.kind} ${finding.rid} ${finding.redis}`
  return 'units' in finding ? `${finding.kind} ${finding.units}` : finding.kind
}

/** Numbers of findings by kind; kinds that are not there are left out. */
export type Tally = Partial<Record<FindingKind, number>>

export function tallyOf(findings: readonly Pick<Finding, 'kind'>[]): Tally {
  const tally: Tally = {}
  for (const { kind } of findings) tally[kind] = (tally[kind] ?? 0) + 1
  return tally
}

/**
 * Brings rids after their verdicts, each by itself and as often as one likes, a pipeline at a time.
 * @returns the findings that changed something; those that take a rebuild are left
 */
export async function repairByRid(
  { scripts }: Pick<ReconcileDependencies, 'scripts'>,
  eventId: string,
  findings: readonly Finding[],
): Promise<Finding[]> {
  const repaired: Finding[] = []
  for (const chunk of chunksOf(findings)) {
    const changes = await Promise.all(chunk.map((finding) => applyVerdict(scripts, eventId, finding)))
    repaired.push(...chunk.filter((_finding, i) => changes[i]))
  }
  return repaired
}

/** @returns whether it changed anything */
async function applyVerdict(
  scripts: ReconcileDependencies['scripts'],
  eventId: string,
  finding: Finding,
): Promise<boolean> {
  if (!('claim' in finding) || finding.claim === undefined) return false
  const { rid, userId, quantity, orderId, expiresAtMs, reason, orderStatus } = finding.claim
  const units = { eventId, rid, userId, quantity }
  switch (REMEDIES[finding.kind]) {
    case 'confirm': {
      if (orderId === null || expiresAtMs === null) throw new Error(`live claim ${rid} has no order`)
      const [confirmed, paid] = await Promise.all([
        scripts.confirm([{ eventId, orders: [{ ...units, orderId, expiresAtMs }] }]),
        // Behind it on the same connection.
        orderStatus === 'paid' ? scripts.markPaid({ eventId, rid }) : ('UNCHANGED' as const),
      ])
      return confirmed.flat().some(isChange) || isChange(paid)
    }
    case 'release':
      if (reason === null) throw new Error(`claim ${rid} is gone without a reason`)
      return isChange(await scripts.release({ ...units, reason }))
    case 'rebuild':
      return false
  }
}

function isChange(reply: string): boolean {
  return reply !== 'UNCHANGED' && reply !== 'NOT_READY'
}
