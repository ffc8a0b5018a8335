/** Reservations as Redis knows them, found for people: PostgreSQL does not know of the youngest ones. */
import type { RedisClient } from '../platform/redis/nodes.ts'
import { spikeKeys } from './keys.ts'
import { logEntries, type LogEntry } from './log.ts'
import { decodeRecord, type UnitRecord } from './record.ts'

/** One rid in Redis. */
export interface FoundRecord {
  eventId: string
  rid: string
  record: UnitRecord
}

/** Looks for a rid in events that it may belong to. */
export async function findRecord(
  redis: RedisClient,
  eventIds: readonly string[],
  rid: string,
): Promise<FoundRecord | undefined> {
  for (const eventId of eventIds) {
    const text = await redis.hget(spikeKeys(eventId).states, rid)
    if (text !== null) return { eventId, rid, record: decodeRecord(text) }
  }
  return undefined
}

/** What a buyer holds in each of these events. */
export async function ridsHeldBy(
  redis: RedisClient,
  eventIds: readonly string[],
  userId: string,
): Promise<string[]> {
  const rids = await Promise.all(eventIds.map((id) => redis.hget(spikeKeys(id).holders, userId)))
  return rids.filter((rid) => rid !== null)
}

/** Entries read of all logs together, for one question. */
const MAX_ENTRIES = 5_000

/** Rids of a request among the reservations without a verdict; past `MAX_ENTRIES` of them, it is not looked on. */
export async function undecidedRidsOf(
  redis: RedisClient,
  eventIds: readonly string[],
  requestId: string,
): Promise<string[]> {
  const rids: string[] = []
  let read = 0
  for (const eventId of eventIds)
    for await (const { entry } of logEntries(redis, eventId)) {
      if (entry.requestId === requestId) rids.push(entry.rid)
      if (++read >= MAX_ENTRIES) return rids
    }
  return rids
}

/** What the log tells of a rid while it has no verdict: its request and its trace. */
export async function logEntryOf(
  redis: RedisClient,
  { eventId, rid, record }: FoundRecord,
): Promise<Omit<LogEntry, 'state'> | undefined> {
  const { reservedAtMs } = record
  // The script tells the time once, for the record and for the entry's id.
  const between = { fromMs: reservedAtMs, untilMs: reservedAtMs + 1 }
  for await (const { entry } of logEntries(redis, eventId, between)) if (entry.rid === rid) return entry
  return undefined
}
