import type { Redis } from 'ioredis'
import { z } from 'zod'
import { id, quantity, timestampMs } from '../contracts/values.ts'
import { spikeKeys } from './keys.ts'
import { decodeRecord, type UnitState } from './record.ts'

/** One entry of the reservation log: a decrement whose verdict has not been applied. */
export interface LogEntry {
  rid: string
  userId: string
  quantity: number
  epoch: number
  reservedAtMs: number
  requestId: string
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
})

/**
 * The oldest entries of an event's log that were written before a moment of Redis time. Entries of reservations
 * that went the usual way are gone by then, so this reads only what needs help.
 * @returns the entries, and the ids of entries that make no sense
 */
export async function agedEntries(
  redis: Redis,
  eventId: string,
  olderThanMs: number,
  limit: number,
): Promise<{ entries: LogEntry[]; unreadable: string[] }> {
  const [seconds] = await redis.time()
  const until = Number(seconds) * 1_000 - olderThanMs
  const keys = spikeKeys(eventId)
  const entries = await redis.xrange(keys.log, '-', until, 'COUNT', limit)
  const parsed = entries.map(([entryId, flat]) => ({ entryId, result: fields.safeParse(pairs(flat)) }))
  const unreadable = parsed.flatMap(({ entryId, result }) => (result.success ? [] : [entryId]))
  const readable = parsed.flatMap(({ result }) => (result.success ? [result.data] : []))
  if (readable.length === 0) return { entries: [], unreadable }
  const records = await redis.hmget(keys.states, ...readable.map((entry) => entry.rid))
  return { entries: readable.map((entry, i) => entryOf(entry, records[i])), unreadable }
}

/** All entries of an event's log that make sense, the oldest first, read in chunks. */
export async function* logEntries(
  redis: Redis,
  eventId: string,
): AsyncGenerator<{ logId: string; entry: Omit<LogEntry, 'state'> }> {
  const { log } = spikeKeys(eventId)
  for (let from = '-'; ;) {
    const chunk = await redis.xrange(log, from, '+', 'COUNT', 500)
    for (const [logId, flat] of chunk) {
      const parsed = fields.safeParse(pairs(flat))
      if (parsed.success) yield { logId, entry: entryOf(parsed.data, undefined) }
    }
    const last = chunk.at(-1)
    if (last === undefined) return
    from = `(${last[0]}`
  }
}

function entryOf(entry: z.infer<typeof fields>, record: string | null | undefined): LogEntry {
  return {
    rid: entry.rid,
    userId: entry.user,
    quantity: entry.quantity,
    epoch: entry.epoch,
    reservedAtMs: entry.reserved_ms,
    requestId: entry.request_id,
    state: record ? decodeRecord(record).state : undefined,
  }
}

function pairs(flat: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {}
  for (let i = 0; i + 1 < flat.length; i += 2) out[flat[i] as string] = flat[i + 1] as string
  return out
}
