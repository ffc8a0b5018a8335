import type { Logger } from '../platform/logger.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import type { Scripts } from '../platform/redis/define-script.ts'
import { spikeKeys } from './keys.ts'
import type { ReserveReply, spikeScripts } from './scripts.ts'

/**
 * How purchase requests ended, in the words of the script. `corrupt` is an accident and `not_ready` what events that
 * do not exist are answered with: neither is counted, so memory and keys are bounded by the events with a gate.
 */
export type Outcome = Exclude<ReserveReply['kind'], 'corrupt' | 'not_ready'>

/** What a purchase is refused with, by the word of the script. */
export const ERROR_OF_OUTCOME = {
  existing: 'ALREADY_PURCHASED',
  not_started: 'SALE_NOT_STARTED',
  quantity_limit: 'VALIDATION_FAILED',
  paused: 'SALE_PAUSED',
  ended: 'SALE_ENDED',
  lapse_limit: 'LAPSE_LIMIT',
  all_held: 'ALL_HELD',
  sold_out: 'SOLD_OUT',
} as const satisfies Record<Exclude<Outcome, 'accepted'>, string>

/** The busiest second. */
export interface Peak {
  second: Date
  count: number
}

const FLUSH_MS = 1_000

/**
 * Counts outcomes in memory and adds them to Redis once a second: a purchase pays for a few look-ups in maps. A count
 * that does not reach Redis is given up.
 */
export class OutcomeCounts {
  readonly #scripts: Pick<Scripts<typeof spikeScripts>, 'countOutcomes'>
  readonly #log: Logger
  /** By event and second since 1970; by this process's clock, which is good enough for a rate. */
  #counts = new Map<string, Map<number, Map<Outcome, number>>>()
  #timer: NodeJS.Timeout | undefined

  constructor(scripts: Pick<Scripts<typeof spikeScripts>, 'countOutcomes'>, log: Logger) {
    this.#scripts = scripts
    this.#log = log
  }

  /** @param atMs when it ended, in milliseconds since 1970 */
  add(eventId: string, outcome: Outcome, atMs = Date.now()): void {
    const ofEvent = getOrAdd(this.#counts, eventId)
    const ofSecond = getOrAdd(ofEvent, Math.floor(atMs / 1_000))
    ofSecond.set(outcome, (ofSecond.get(outcome) ?? 0) + 1)
    this.#timer ??= setTimeout(() => void this.#flush(), FLUSH_MS)
  }

  /** Writes what is left. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#flush()
  }

  async #flush(): Promise<void> {
    const counts = this.#counts
    this.#counts = new Map()
    this.#timer = undefined
    const seconds = [...counts].flatMap(([eventId, ofEvent]) =>
      [...ofEvent].map(([second, outcomes]) => ({ eventId, second, outcomes })),
    )
    try {
      await this.#scripts.countOutcomes(seconds)
    } catch (err) {
      this.#log.warn({ err }, 'outcomes of purchases were not counted, or not all of them')
    }
  }
}

function getOrAdd<K, L, V>(maps: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let found = maps.get(key)
  if (found === undefined) maps.set(key, (found = new Map()))
  return found
}

/** The counts of an event; outcomes that did not happen are left out. */
export async function readOutcomes(
  redis: RedisClient,
  eventId: string,
): Promise<Partial<Record<Outcome, number>>> {
  const counts = await redis.hgetall(spikeKeys(eventId).outcomes)
  return Object.fromEntries(Object.entries(counts).map(([outcome, n]) => [outcome, Number(n)]))
}

/** The second in which most requests were rejected; undefined when none was. */
export async function readRejectedPeak(redis: RedisClient, eventId: string): Promise<Peak | undefined> {
  const [second, count] = await redis.zrevrange(spikeKeys(eventId).rejectedPeak, 0, 0, 'WITHSCORES')
  if (second === undefined || count === undefined) return undefined
  return { second: new Date(Number(second) * 1_000), count: Number(count) }
}
