/** Units that were taken and, as far as Redis knows, have no verdict; the records tell, whatever became of the log. */
import type { RedisClient } from '../platform/redis/nodes.ts'
import { spikeKeys } from './keys.ts'
import { decodeRecord } from './record.ts'
import { serverOf } from '../platform/redis/server.ts'

export interface TakenUnits {
  rid: string
  userId: string
  quantity: number
  reservedAtMs: number
  /** Whether the broker is known to have had it. */
  state: 'held' | 'queued'
  /** By the clock of Redis. */
  ageMs: number
}

/** Fields read by one command; small enough that Redis serves others in between. */
const CHUNK = 500

/** Walks over all records of an event and yields those that are held or queued for longer than `olderThanMs`, in chunks. */
export async function* takenUnits(
  redis: RedisClient,
  eventId: string,
  olderThanMs: number,
): AsyncGenerator<TakenUnits[]> {
  const { states } = spikeKeys(eventId)
  const { nowMs } = await serverOf(redis, states)
  for await (const flat of redis.hscanStream(states, { count: CHUNK })) {
    const chunk = (flat as string[]).flatMap((rid, i) =>
      i % 2 === 0 ? takenUnit(rid, (flat as string[])[i + 1] as string, nowMs) : [],
    )
    const aged = chunk.filter(({ ageMs }) => ageMs > olderThanMs)
    if (aged.length > 0) yield aged
  }
}

function takenUnit(rid: string, text: string, nowMs: number): TakenUnits[] {
  const { state, userId, quantity, reservedAtMs } = decodeRecord(text)
  if (state !== 'held' && state !== 'queued') return []
  return [{ rid, userId, quantity, reservedAtMs, state, ageMs: nowMs - reservedAtMs }]
}
