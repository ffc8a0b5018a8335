/** `src/reconcile.ts` and `src/repair.ts`, cut into atomic effects. */
import { claimsOfEvent, type Postgres } from './postgres.ts'
import { effect, type Steps, type Work } from './process.ts'
import { confirm, markPaid, release, unitsInState, type Gate, type UnitRecord } from './redis.ts'
import { isLost } from './lost.ts'
import type { World } from './world.ts'

type Claims = ReturnType<typeof claimsOfEvent>
type Claim = Claims[number]

const REMEDIES = {
  unconfirmed: 'confirm',
  unpaid: 'confirm',
  unheld: 'confirm',
  unreleased: 'release',
  barred: 'release',
  released_alive: 'rebuild',
  unfounded: 'rebuild',
  stranded: 'rebuild',
  lost: 'rebuild',
  miscounted: 'rebuild',
  misgranted: 'rebuild',
} as const
type FindingKind = keyof typeof REMEDIES

export interface Finding {
  kind: FindingKind
  /** By it, a later look knows it again. */
  name: string
  claim?: Claim
}

interface Rids {
  records: ReadonlyMap<string, UnitRecord>
  holders: ReadonlyMap<string, string>
}

function* readRids({ redis }: World): Steps<Rids> {
  const holders = yield* effect('read holders', () => new Map(redis.holders))
  return { holders, records: yield* effect('read records', () => new Map(redis.states)) }
}

/** Every rid on which the stores disagree; what is undecided in PostgreSQL is in flight, and no disagreement. */
export function compareRids(claims: Claims, { records, holders }: Rids): Finding[] {
  const findings: Finding[] = []
  const note = (kind: FindingKind | undefined, rid: string, claim?: Claim) => {
    if (kind === undefined) return
    const name = `${kind} ${rid} ${records.get(rid)?.state ?? 'absent'}`
    findings.push(claim === undefined ? { kind, name } : { kind, name, claim })
  }
  const known = new Set(claims.map(({ rid }) => rid))
  const claimants = new Set(claims.filter(({ state }) => state === 'live').map(({ user }) => user))
  for (const claim of claims)
    note(
      faultOf(claim, records.get(claim.rid)?.state, holders.get(claim.user) === claim.rid),
      claim.rid,
      claim,
    )
  for (const [rid, { state }] of records)
    if (!known.has(rid) && (state === 'confirmed' || state === 'paid')) note('unfounded', rid)
  for (const [user, rid] of holders) {
    const holdsUnits = (records.get(rid)?.state ?? 'released') !== 'released'
    if (!known.has(rid) && !holdsUnits && !claimants.has(user)) note('stranded', rid)
  }
  return findings
}

function faultOf(
  claim: Claim,
  state: UnitRecord['state'] | undefined,
  isHolder: boolean,
): FindingKind | undefined {
  if (claim.state === 'live') return faultOfLive(claim.paid, state, isHolder)
  const absent = state === undefined
  if (claim.state === 'undecided') return absent || isInFlight(state) ? undefined : 'unfounded'
  if (!absent && state !== 'released') return 'unreleased'
  return isHolder ? 'barred' : undefined
}

function faultOfLive(
  paid: boolean,
  state: UnitRecord['state'] | undefined,
  isHolder: boolean,
): FindingKind | undefined {
  if (state === 'released') return 'released_alive'
  if (state === undefined || isInFlight(state)) return 'unconfirmed'
  if (state === 'confirmed' && paid) return 'unpaid'
  return isHolder ? undefined : 'unheld'
}

function isInFlight(state: UnitRecord['state']): boolean {
  return state === 'held' || state === 'queued'
}

/** Brings rids after their verdicts; those that take a rebuild are left. */
export function* repairByRid(world: World, findings: readonly Finding[]): Work {
  const { redis } = world
  for (const { kind, claim } of findings) {
    if (claim === undefined) continue
    const { rid } = claim
    if (REMEDIES[kind] === 'confirm') {
      yield* effect(`confirm ${rid}`, () => confirm(redis, claim, world.now))
      if (claim.state === 'live' && claim.paid) yield* effect(`mark paid ${rid}`, () => markPaid(redis, rid))
    }
    if (REMEDIES[kind] === 'release')
      yield* effect(`release ${rid}`, () => release(redis, claim, claim.state === 'gone' && claim.ordered))
  }
}

/** `examineEvent`. */
function* examine(world: World): Steps<Finding[]> {
  const { pg } = world
  const before = yield* effect('read gate', () => readGate(world))
  const rids = before === undefined ? undefined : yield* readRids(world)
  const gate = yield* effect('read gate', () => readGate(world))
  const { claims, ledger } = yield* effect('read snapshot', () => ({
    claims: claimsOfEvent(pg),
    ledger: pg.ledger.map((row) => ({ ...row })),
  }))
  if (before === undefined || rids === undefined || gate === undefined)
    return [{ kind: 'lost', name: 'lost' }]
  if (gate.epoch !== before.epoch) return []
  const findings = compareRids(claims, rids)
  const held = [...rids.records.values()].reduce(
    (sum, r) => sum + (r.state === 'released' ? 0 : r.quantity),
    0,
  )
  if (gate.stock + held !== gate.granted) {
    const units = yield* effect('count units', () => miscount(world))
    if (units !== 0) findings.push({ kind: 'miscounted', name: `miscounted ${units}` })
  }
  const off = gate.granted - granted(ledger)
  if (off !== 0) findings.push({ kind: 'misgranted', name: `misgranted ${off}` })
  return findings
}

/** A usable gate, with the stock of the same moment. */
function readGate(world: World): (Gate & { stock: number }) | undefined {
  const { gate, stock } = world.redis
  return gate === undefined || isLost(world) ? undefined : { ...gate, stock }
}

function miscount({ redis }: World): number {
  const granted = redis.gate?.granted ?? 0
  return redis.stock + unitsInState(redis, 'held', 'queued', 'confirmed', 'paid') - granted
}

function granted(ledger: Postgres['ledger']): number {
  return ledger.reduce((sum, { applied, delta }) => sum + (applied ? delta : 0), 0)
}

function lastingOf(earlier: readonly string[], findings: readonly Finding[]): Finding[] {
  return findings.filter(({ name }) => earlier.includes(name))
}

/**
 * One pass of the reconciler: what it has seen twice is repaired, by rid or by a rebuild.
 * @param rebuildWhen `rebuild.ts` knows this file
 */
export function* reconcilePass(
  world: World,
  rebuildWhen: (world: World, isNeeded: () => Steps<boolean>) => Steps<boolean>,
): Work {
  const { findings: earlier, rebuiltFor } = world.memory
  const findings = yield* examine(world)
  const seen = lastingOf(earlier, findings)
  const mendable = seen.filter(({ name }) => !rebuiltFor.includes(name))
  const grave = mendable.filter(({ kind }) => REMEDIES[kind] === 'rebuild')
  const names = grave.map(({ name }) => name)
  const isNeeded = function* (): Steps<boolean> {
    return lastingOf(names, yield* examine(world)).length > 0
  }
  const rebuilt = grave.length > 0 && (yield* rebuildWhen(world, isNeeded))
  if (grave.length === 0) yield* repairByRid(world, mendable)
  if (world.has('reconcile-releases-undecided')) yield* releaseUndecided(world)
  world.memory = {
    findings: findings.map(({ name }) => name),
    rebuiltFor: findings.length === 0 ? [] : rebuilt ? names : rebuiltFor,
  }
}

/** The planted bug. */
function* releaseUndecided(world: World): Work {
  const { redis, pg } = world
  for (const [rid, record] of redis.states)
    if (record.state === 'held' && !pg.reservations.has(rid))
      yield* effect(`release ${rid}`, () => release(redis, { rid, ...record }, false))
}
