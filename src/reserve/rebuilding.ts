/** The Redis side of a rebuild: what has survived of an event's state, and the place where the new one is gathered. */
import type { RedisClient } from '../platform/redis/nodes.ts'
import { nextKeys, spikeKeys } from './keys.ts'
import { logEntries } from './log.ts'
import { decodeRecord, encodeRecord, type UnitRecord } from './record.ts'

/** Fields written or read by one command; small enough that Redis serves others in between. */
const CHUNK = 500

/** Units that were taken and may have no verdict yet, with their record as it stands, and the log's entries by rid. */
export interface Survivors {
  records: Map<string, { text: string; record: UnitRecord }>
  logIds: Map<string, string>
}

/** Reads held and queued units from the records and from the reservation log; either may have lost some. */
export async function readSurvivors(redis: RedisClient, eventId: string): Promise<Survivors> {
  const records: Survivors['records'] = new Map()
  const logIds = new Map<string, string>()
  for (const [rid, text] of await allRecords(redis, eventId)) {
    if (/^(held|queued)\|/.test(text)) records.set(rid, { text, record: decodeRecord(text) })
  }
  for await (const { logId, entry } of logEntries(redis, eventId)) {
    logIds.set(entry.rid, logId)
    if (records.has(entry.rid)) continue
    const { userId, quantity, reservedAtMs } = entry
    const record: UnitRecord = {
      state: 'held',
      quantity,
      userId,
      reservedAtMs,
      orderId: undefined,
      expiresAtMs: undefined,
      reason: undefined,
    }
    const fields = ['held', quantity, userId, reservedAtMs, logId, '', '', '']
    records.set(entry.rid, { text: fields.join('|'), record })
  }
  return { records, logIds }
}

/** Every rid with its record. */
export function allRecords(redis: RedisClient, eventId: string): Promise<Map<string, string>> {
  return allFields(redis, spikeKeys(eventId).states)
}

/** Every buyer with the rid that they hold. */
export function allHolders(redis: RedisClient, eventId: string): Promise<Map<string, string>> {
  return allFields(redis, spikeKeys(eventId).holders)
}

/** A whole hash, read in chunks: what is there from the first one to the last is not missed. */
async function allFields(redis: RedisClient, key: string): Promise<Map<string, string>> {
  const fields = new Map<string, string>()
  for await (const flat of redis.hscanStream(key, { count: CHUNK }))
    for (let i = 0; i + 1 < (flat as string[]).length; i += 2)
      fields.set((flat as string[])[i] as string, (flat as string[])[i + 1] as string)
  return fields
}

/** The whole state of an event, but for gate, stock and log. */
export interface NextState {
  records: Map<string, UnitRecord | string>
  holders: Map<string, string>
  lapses: Map<string, number>
  adjustmentIds: readonly string[]
}

/** What a rebuild that died has gathered is forgotten after this. */
const FORGOTTEN_AFTER_S = 3_600

/** Writes the new state of an epoch beside the present one; `swap` puts it in place. */
export async function stageState(
  redis: RedisClient,
  eventId: string,
  epoch: number,
  state: NextState,
): Promise<void> {
  const keys = nextKeys(eventId, epoch)
  await redis.unlink(...Object.values(keys))
  const records = [...state.records].map(
    ([rid, record]) => [rid, typeof record === 'string' ? record : encodeRecord(record)] as const,
  )
  for (const chunk of chunksOf(records)) await redis.hset(keys.states, ...chunk.flat())
  for (const chunk of chunksOf([...state.holders])) await redis.hset(keys.holders, ...chunk.flat())
  for (const chunk of chunksOf([...state.lapses])) await redis.hset(keys.lapses, ...chunk.flat())
  for (const chunk of chunksOf(state.adjustmentIds)) await redis.sadd(keys.adjustments, ...chunk)
  for (const key of Object.values(keys)) await redis.expire(key, FORGOTTEN_AFTER_S)
}

/** Ends the log entries of rids that have their verdict. */
export async function endLogEntries(
  redis: RedisClient,
  eventId: string,
  logIds: readonly string[],
): Promise<void> {
  for (const chunk of chunksOf(logIds)) await redis.xdel(spikeKeys(eventId).log, ...chunk)
}

/** Parts that are small enough for one command, or for one pipeline. */
export function chunksOf<T>(items: readonly T[]): T[][] {
  const chunks: T[][] = []
  for (let i = 0; i < items.length; i += CHUNK) chunks.push(items.slice(i, i + CHUNK))
  return chunks
}
