/** What Redis holds of an event's units, against what PostgreSQL has decided. */
import type { Knex } from 'knex'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { spikeKeys } from '../reserve/keys.ts'
import { decodeRecord } from '../reserve/record.ts'

export interface Holdings {
  /** Units that Redis holds for rids without a verdict. */
  inFlight: number
  /** Units that Redis holds for rids that are void or whose claim is not live any more. */
  pendingReleases: number
}

/** Records read at once: neither Redis nor this process is kept from its work for more than a few milliseconds. */
const CHUNK = 1_000

/** Walks over all rids of the event in Redis; exact when nothing is in flight. */
export async function readHoldings(
  trx: Knex.Transaction,
  redis: RedisClient,
  eventId: string,
): Promise<Holdings> {
  const holdings = { inFlight: 0, pendingReleases: 0 }
  const seen = new Set<string>() // a scan may bring the same record twice
  for await (const flat of redis.hscanStream(spikeKeys(eventId).states, { count: CHUNK })) {
    const units = heldUnits(flat as string[], seen)
    const decisions = await decisionsOn(trx, [...units.keys()])
    for (const [rid, quantity] of units) {
      const live = decisions.get(rid)
      if (live === undefined) holdings.inFlight += quantity
      else if (!live) holdings.pendingReleases += quantity
    }
  }
  return holdings
}

/** @param flat rids and records in turn @returns the units of those that are not released and were not seen yet */
function heldUnits(flat: readonly string[], seen: Set<string>): Map<string, number> {
  const units = new Map<string, number>()
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const [rid, text] = [flat[i] as string, flat[i + 1] as string]
    if (seen.has(rid)) continue
    seen.add(rid)
    const { state, quantity } = decodeRecord(text)
    if (state !== 'released') units.set(rid, quantity)
  }
  return units
}

/** For rids with a verdict: whether they have a live claim. */
async function decisionsOn(trx: Knex.Transaction, rids: readonly string[]): Promise<Map<string, boolean>> {
  if (rids.length === 0) return new Map()
  const { rows } = await trx.raw(
    // By the key of each claim: a join lets PostgreSQL read them all for every thousand.
    `SELECT r.rid,
            coalesce((SELECT s.live FROM spike_orders s WHERE s.reservation_id = r.rid), false) AS live
       FROM reservations r
      WHERE r.rid = ANY(?::uuid[]) AND r.status <> 'undecided'`,
    [[...rids]],
  )
  return new Map(rows.map(({ rid, live }: { rid: string; live: boolean }) => [rid, live]))
}
