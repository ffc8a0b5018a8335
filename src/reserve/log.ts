import { z } from 'zod'
import { id, quantity, timestampMs } from '../contracts/values.ts'
import { serverOf } from '../platform/redis/server.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { readTraceparent } from '../platform/telemetry/traceparent.ts'
import { spikeKeys } from './keys.ts'
import { decodeRecord, type UnitState } from './record.ts'

/** One entry of the reservation log: a decrement whose verdict has not been applied. */
export interface LogEntry {
  /** The entry's id in the stream. */
  logId: string
  rid: string
  userId: string
  quantity: number
  epoch: number
  reservedAtMs: number
  requestId: string
  /** Of the purchase, when it is traced. */
  traceparent: string | undefined
  /** State of the rid now; undefined when its record is gone. */
  state: UnitState | undefined
}

const fields = z.object({
  rid: id,
  user: id,
  quantity: z.coerce.number().pipe(quantity),
  epoch: z.coerce.number().int(),
  reserved_ms: z.coerce.number().pipe(timestampMs),
  request_id: z.string(),
  traceparent: z.string().optional(),
})

/** A part of a log's aged entries. */
export interface LogPage {
  entries: LogEntry[]
  /** Ids of entries that make no sense. */
  unreadable: string[]
  /** Redis time when it was read. */
  nowMs: number
  /** Where the next page begins; undefined when there is none. */
  next: string | undefined
}

/**
 * The oldest entries of an event's log that were written before a moment of Redis time. Entries of reservations
 * that went the usual way are gone by then, so this reads only what needs help.
 * @param from where the page before has ended
 */
export async function agedEntries(
  redis: RedisClient,
  eventId: string,
  page: { olderThanMs: number; limit: number; from: string | undefined },
): Promise<LogPage> {
  const keys = spikeKeys(eventId)
  const { nowMs } = await serverOf(redis, keys.log)
  const until = nowMs - page.olderThanMs
  const found = await redis.xrange(keys.log, page.from ?? '-', until, 'COUNT', page.limit)
  const parsed = found.map(([logId, flat]) => ({ logId, result: fields.safeParse(pairs(flat)) }))
  const unreadable = parsed.flatMap(({ logId, result }) => (result.success ? [] : [logId]))
  const readable = parsed.flatMap(({ logId, result }) => (result.success ? [{ logId, ...result.data }] : []))
  const records =
    readable.length === 0 ? [] : await redis.hmget(keys.states, ...readable.map((entry) => entry.rid))
  const entries = readable.map((entry, i) => entryOf(entry.logId, entry, records[i]))
  const last = found.length < page.limit ? undefined : found.at(-1)
  return { entries, unreadable, nowMs, next: last && `(${last[0]}` }
}

/**
 * Entries of an event's log that make sense, the oldest first, read in chunks.
 * @param between milliseconds of Redis time; all entries without it
 */
export async function* logEntries(
  redis: RedisClient,
  eventId: string,
  between?: { fromMs: number; untilMs: number },
): AsyncGenerator<{ logId: string; entry: Omit<LogEntry, 'state'> }> {
  const { log } = spikeKeys(eventId)
  const until = between === undefined ? '+' : String(between.untilMs)
  for (let from = between === undefined ? '-' : String(between.fromMs); ;) {
    const chunk = await redis.xrange(log, from, until, 'COUNT', 500)
    for (const [logId, flat] of chunk) {
      const parsed = fields.safeParse(pairs(flat))
      if (parsed.success) yield { logId, entry: entryOf(logId, parsed.data, undefined) }
    }
    const last = chunk.at(-1)
    if (last === undefined) return
    from = `(${last[0]}`
  }
}

function entryOf(logId: string, entry: z.infer<typeof fields>, record: string | null | undefined): LogEntry {
  return {
    logId,
    rid: entry.rid,
    userId: entry.user,
    quantity: entry.quantity,
    epoch: entry.epoch,
    reservedAtMs: entry.reserved_ms,
    requestId: entry.request_id,
    traceparent: readTraceparent(entry.traceparent),
    state: record ? decodeRecord(record).state : undefined,
  }
}

function pairs(flat: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {}
  for (let i = 0; i + 1 < flat.length; i += 2) out[flat[i] as string] = flat[i + 1] as string
  return out
}
