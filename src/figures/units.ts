/** Where every granted unit of an event is, rid by rid: the conservation meter, and what is still on its way. */
import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import { claimsOfEvent, type ReservationClaim } from '../orders/claims.ts'
import { redisNow } from '../platform/redis/clock.ts'
import { serverRunId } from '../platform/redis/info.ts'
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
export interface UnitRecord {
  state: UnitState
  quantity: number
  reservedAtMs: number
}

/**
 * Walks over all rids of the event, in chunks that keep neither Redis nor this process from its work. Units free are
 * read right behind the caller's snapshot, and reservations that were made after that are left out: so a running sale
 * shows no drift that is not there, but for releases in the very moment, which another look does not find again.
 * @param event read in `trx`, as its first statement
 */
export async function readUnits(
  trx: Knex.Transaction,
  redis: Redis,
  event: SpikeEvent,
): Promise<UnitFigures> {
  if (event.status === 'draft') return { meter: null, oldest: null, findings: [] }
  // Sent together, so that they are of one moment.
  const [gate, atMs, runId] = await Promise.all([
    readGate(redis, event.id),
    redisNow(redis),
    serverRunId(redis),
  ])
  const holders = await allHolders(redis, event.id)
  const records = await recordsUntil(redis, event.id, atMs)
  const claims = await claimsOfEvent(trx, event.id)
  const lost = event.opened_at !== null && isLost(gate, runId)
  return {
    meter: gate === undefined ? null : meterOf(event.granted, gate.stock, claims, records),
    oldest: await oldestUnresolved(trx, claims, records, atMs),
    findings: lost
      ? [{ kind: 'lost' }]
      : [...compareRids(claims, { records, holders }), ...miscount(gate, records)],
  }
}

/** Sorts every unit into the one part that it is in; drift is what is left over, or lacking. */
export function meterOf(
  granted: number,
  free: number,
  claims: readonly ReservationClaim[],
  records: ReadonlyMap<string, UnitRecord>,
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
  const { held, pending, paid, releasing } = units
  return { granted, free, ...units, drift: granted - free - held - pending - paid - releasing }
}

async function recordsUntil(redis: Redis, eventId: string, atMs: number): Promise<Map<string, UnitRecord>> {
  const records = new Map<string, UnitRecord>()
  for await (const flat of redis.hscanStream(spikeKeys(eventId).states, { count: 500 })) {
    for (let i = 0; i + 1 < (flat as string[]).length; i += 2) {
      const [rid, text] = [(flat as string[])[i] as string, (flat as string[])[i + 1] as string]
      const { state, quantity, reservedAtMs } = decodeRecord(text)
      if (reservedAtMs <= atMs) records.set(rid, { state, quantity, reservedAtMs })
    }
  }
  return records
}

/** R + held = T within Redis. */
function miscount(gate: Gate | undefined, records: ReadonlyMap<string, UnitRecord>): Finding[] {
  if (gate === undefined) return []
  let units = gate.stock - gate.granted
  for (const { state, quantity } of records.values()) if (state !== 'released') units += quantity
  return units === 0 ? [] : [{ kind: 'miscounted', units }]
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

/** The release that was told the longest ago, of those that Redis has not followed. */
async function oldestRelease(trx: Knex.Transaction, rids: readonly string[]): Promise<Unresolved[]> {
  if (rids.length === 0) return []
  const { rows } = await trx.raw(
    `SELECT key AS rid, 'release' AS "waitsFor", (extract(epoch FROM now() - created_at) * 1000)::int8 AS "ageMs"
       FROM outbox WHERE topic = 'stock.released' AND key = ANY(?::uuid[]) ORDER BY created_at LIMIT 1`,
    [[...rids]],
  )
  return rows
}
