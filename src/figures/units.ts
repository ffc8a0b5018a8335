/** Where every granted unit of an event is, rid by rid: the conservation meter, and what is still on its way. */
import { setImmediate as othersTurn } from 'node:timers/promises'
import type { Knex } from 'knex'
import { claimsOfEvent, type ReservationClaim } from '../orders/claims.ts'
import { serverOf } from '../platform/redis/server.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { compareRids, type Finding } from '../reconcile.ts'
import { isLost, readGate, type Gate } from '../reserve/gate.ts'
import { spikeKeys } from '../reserve/keys.ts'
import { allHolders } from '../reserve/rebuilding.ts'
import { decodeRecord, type UnitState } from '../reserve/record.ts'
import type { SpikeEvent } from '../spike-events/model.ts'

/**
 * Units: `granted` is the sum of the six others, always. With the invariants of docs/architecture.md, `granted` = T
 * and `pending + paid` = Live; what is left of T is A, which Redis knows as units that are `free` (R), `held` for rids
 * without a verdict (InFlight), and `releasing`: let go by PostgreSQL, not given back yet (PendRel). So
 * `drift` = T - Live - R - InFlight - PendRel, which is A - InFlight - PendRel - R for as long as A + Live = T.
 * Above 0, units are missing: nobody holds them and nobody can buy them. Below, Redis has units that are not there.
 *
 * All is as it was when the free units were read. What may have moved since then, while the rids were read one by one,
 * is no drift: it is counted as `held` when it may have been taken in that moment, as `releasing` otherwise.
 */
export interface Meter {
  granted: number
  free: number
  held: number
  pending: number
  paid: number
  releasing: number
  drift: number
}

/** The reservation that has been on its way for the longest time, by the clock of the store that knows it. */
export interface Unresolved {
  rid: string
  /** It has no verdict; or it has, and its units are not given back yet. */
  waitsFor: 'verdict' | 'release'
  ageMs: number
}

export interface UnitFigures {
  /** Null when Redis has no gate for the event. */
  meter: Meter | null
  oldest: Unresolved | null
  /** Of this one look: what is merely on its way may be among them. */
  findings: Finding[]
}

/** What Redis says of a rid, as far as it is counted here. */
interface UnitRecord {
  state: UnitState
  quantity: number
  reservedAtMs: number
}

/** What a walk over the records has found. */
interface Walk {
  /** By the clock of Redis, before the free units were read. */
  atMs: number
  /** Of reservations from before that moment, by rid: none of them is missing. */
  records: Map<string, UnitRecord>
  /** Units of reservations from then on, by rid; a walk may pass by what comes while it goes on. */
  since: Map<string, number>
}

/**
 * Walks over all rids of the event, in chunks that keep neither Redis nor this process from its work. Units free are
 * read right behind the caller's snapshot, and again behind the walk: reservations from between are left out, and what
 * may have been given back between is known, so a running sale shows no drift that is not there.
 * @param event read in `trx`, as its first statement
 */
export async function readUnits(
  trx: Knex.Transaction,
  redis: RedisClient,
  event: SpikeEvent,
): Promise<UnitFigures> {
  if (event.status === 'draft') return { meter: null, oldest: null, findings: [] }
  // Sent together, the time first: what is older than that is in the stock that follows.
  const [{ nowMs: atMs, runId }, gate] = await Promise.all([
    serverOf(redis, spikeKeys(event.id).gate),
    readGate(redis, event.id),
  ])
  const holders = await allHolders(redis, event.id)
  const walk = await walkRecords(redis, event.id, atMs)
  const { records } = walk
  const givenBack = gate === undefined ? 0 : await givenBackAtMost(redis, event.id, gate, walk)
  const claims = await claimsOfEvent(trx, event.id)
  const lost = event.opened_at !== null && isLost(gate, runId)
  // Each takes a while for a large sale.
  await othersTurn()
  const meter = gate === undefined ? null : meterOf(event.granted, gate.stock, claims, walk, givenBack)
  await othersTurn()
  const oldest = await oldestUnresolved(trx, claims, records, atMs)
  await othersTurn()
  if (lost) return { meter, oldest, findings: [{ kind: 'lost' }] }
  if (gate?.cleared) return { meter, oldest, findings: [] }
  const findings = [...compareRids(claims, { records, holders }), ...miscount(gate, records, givenBack)]
  return { meter, oldest, findings }
}

async function walkRecords(redis: RedisClient, eventId: string, atMs: number): Promise<Walk> {
  const walk: Walk = { atMs, records: new Map(), since: new Map() }
  for await (const [rid, record] of recordsOf(redis, eventId)) {
    if (record.reservedAtMs < atMs) walk.records.set(rid, record)
    else walk.since.set(rid, record.quantity)
  }
  return walk
}

async function* recordsOf(redis: RedisClient, eventId: string): AsyncGenerator<[string, UnitRecord]> {
  for await (const flat of redis.hscanStream(spikeKeys(eventId).states, { count: 500 })) {
    for (let i = 0; i + 1 < (flat as string[]).length; i += 2) {
      const [rid, text] = [(flat as string[])[i] as string, (flat as string[])[i + 1] as string]
      const { state, quantity, reservedAtMs } = decodeRecord(text)
      yield [rid, { state, quantity, reservedAtMs }]
    }
  }
}

/**
 * Units that may have been given back since the free units were read: they are not in those, and perhaps not in the
 * records either. No fewer than there were, for as many as are free again, or were taken meanwhile, were given back.
 * Only when they don't explain what is lacking, a second walk looks for reservations that the first one passed by.
 */
async function givenBackAtMost(
  redis: RedisClient,
  eventId: string,
  before: Gate,
  walk: Walk,
): Promise<number> {
  // Sent together, the time last.
  const [after, { nowMs: untilMs }] = await Promise.all([
    readGate(redis, eventId),
    serverOf(redis, spikeKeys(eventId).gate),
  ])
  // A rebuild has come between: anything may have moved.
  if (after?.epoch !== before.epoch) return Infinity
  const freed = after.stock - after.granted - (before.stock - before.granted)
  if (surplusOf(before, walk.records) + freed + total(walk.since) < 0)
    for await (const [rid, { reservedAtMs, quantity }] of recordsOf(redis, eventId))
      if (reservedAtMs >= walk.atMs && reservedAtMs <= untilMs) walk.since.set(rid, quantity)
  return Math.max(0, freed + total(walk.since))
}

/** Sorts every unit into the one part that it is in; drift is what is left over, or lacking. */
function meterOf(
  granted: number,
  free: number,
  claims: readonly ReservationClaim[],
  { records, since }: Walk,
  givenBack: number,
): Meter {
  const units = { held: 0, pending: 0, paid: 0, releasing: 0 }
  const states = new Map<string, ReservationClaim['state']>()
  for (const { rid, state, orderStatus, quantity } of claims) {
    states.set(rid, state)
    if (state === 'live') units[orderStatus === 'paid' ? 'paid' : 'pending'] += quantity
  }
  for (const [rid, { state, quantity }] of records) {
    if (state === 'released') continue
    const verdict = states.get(rid) ?? 'undecided'
    if (verdict === 'undecided') units.held += quantity
    else if (verdict === 'gone') units.releasing += quantity
  }
  const left = granted - free - units.held - units.pending - units.paid - units.releasing
  const drift = nearestToZero(left - givenBack, left)
  const taken = Math.min(left - drift, total(since))
  units.held += taken
  units.releasing += left - drift - taken
  return { granted, free, ...units, drift }
}

/** R + held = T within Redis. */
function miscount(
  gate: Gate | undefined,
  records: ReadonlyMap<string, UnitRecord>,
  givenBack: number,
): Finding[] {
  if (gate === undefined) return []
  const surplus = surplusOf(gate, records)
  const units = nearestToZero(surplus, surplus + givenBack)
  return units === 0 ? [] : [{ kind: 'miscounted', units }]
}

/** Units free and held that Redis has above those granted; negative when it has fewer. */
function surplusOf(gate: Gate, records: ReadonlyMap<string, UnitRecord>): number {
  let units = gate.stock - gate.granted
  for (const { state, quantity } of records.values()) if (state !== 'released') units += quantity
  return units
}

function nearestToZero(low: number, high: number): number {
  return low > 0 ? low : Math.min(high, 0)
}

function total(units: ReadonlyMap<string, number>): number {
  let sum = 0
  for (const quantity of units.values()) sum += quantity
  return sum
}

async function oldestUnresolved(
  trx: Knex.Transaction,
  claims: readonly ReservationClaim[],
  records: ReadonlyMap<string, UnitRecord>,
  atMs: number,
): Promise<Unresolved | null> {
  const states = new Map(claims.map(({ rid, state }) => [rid, state]))
  const candidates = claims
    .filter(({ state }) => state === 'undecided')
    .map(({ rid, reservedAtMs }) => ({ rid, reservedAtMs }))
  const releasing: string[] = []
  for (const [rid, { state, reservedAtMs }] of records) {
    if (state === 'released') continue
    if (!states.has(rid)) candidates.push({ rid, reservedAtMs })
    else if (states.get(rid) === 'gone') releasing.push(rid)
  }
  const waiting = candidates.map(({ rid, reservedAtMs }): Unresolved => {
    return { rid, waitsFor: 'verdict', ageMs: Math.max(0, atMs - reservedAtMs) }
  })
  const released = await oldestRelease(trx, releasing)
  return [...waiting, ...released].reduce<Unresolved | null>(
    (oldest, other) => (oldest === null || other.ageMs > oldest.ageMs ? other : oldest),
    null,
  )
}

/** The one that PostgreSQL has let go of the longest ago, of those that Redis has not followed. */
async function oldestRelease(trx: Knex.Transaction, rids: readonly string[]): Promise<Unresolved[]> {
  if (rids.length === 0) return []
  const { rows } = await trx.raw(
    `SELECT r.rid, 'release' AS "waitsFor",
            (extract(epoch FROM now() - coalesce(o.closed_at, r.decided_at)) * 1000)::int8 AS "ageMs"
       FROM reservations r
       LEFT JOIN spike_orders s ON s.reservation_id = r.rid
       LEFT JOIN orders o ON o.id = s.order_id
      WHERE r.rid = ANY(?::uuid[]) ORDER BY "ageMs" DESC LIMIT 1`,
    [[...rids]],
  )
  return rows
}
