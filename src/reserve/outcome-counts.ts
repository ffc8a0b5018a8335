import type { Logger } from '../platform/logger.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { rejectedInSecondKey, spikeKeys } from './keys.ts'
import type { ReserveReply } from './scripts.ts'

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
/** Every process has added its part of a second long before. */
const SECOND_KEPT_S = 60

interface Counts {
  outcomes: Map<Outcome, number>
  /** By second since 1970, by this process's clock, which is good enough for a rate. */
  rejected: Map<number, number>
}

/**
 * Counts outcomes in memory and adds them to Redis once a second: a purchase pays for a few look-ups in maps. A count
 * that does not reach Redis is given up.
 */
export class OutcomeCounts {
  readonly #redis: RedisClient
  readonly #log: Logger
  #counts = new Map<string, Counts>()
  #timer: NodeJS.Timeout | undefined

  constructor(redis: RedisClient, log: Logger) {
    this.#redis = redis
    this.#log = log
  }

  /** @param atMs when it ended, in milliseconds since 1970 */
  add(eventId: string, outcome: Outcome, atMs = Date.now()): void {
    let ofEvent = this.#counts.get(eventId)
    if (ofEvent === undefined)
      this.#counts.set(eventId, (ofEvent = { outcomes: new Map(), rejected: new Map() }))
    increase(ofEvent.outcomes, outcome)
    if (outcome !== 'accepted') increase(ofEvent.rejected, Math.floor(atMs / 1_000))
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
    const increments = [...counts].flatMap(([eventId, { outcomes, rejected }]) => [
      ...[...outcomes].map(([outcome, n]) => this.#redis.hincrby(spikeKeys(eventId).outcomes, outcome, n)),
      ...[...rejected].map(([second, n]) => this.#addRejected(eventId, second, n)),
    ])
    const failed = (await Promise.allSettled(increments)).find((result) => result.status === 'rejected')
    if (failed !== undefined) this.#log.warn({ err: failed.reason }, 'outcomes of purchases were not counted')
  }

  /** Whichever process adds the last part of a second sees all of it, and keeps it when no second had more. */
  async #addRejected(eventId: string, second: number, n: number): Promise<void> {
    const redis = this.#redis
    const key = rejectedInSecondKey(eventId, second)
    // Both or none: a key without its expiry would stay for ever.
    const [added] = (await redis.multi().incrby(key, n).expire(key, SECOND_KEPT_S).exec()) ?? []
    if (added === undefined || added[0] !== null) throw added?.[0] ?? new Error('second was not counted')
    const total = Number(added[1])
    const { rejectedPeak } = spikeKeys(eventId)
    await Promise.all([
      redis.zadd(rejectedPeak, 'GT', total, second),
      redis.zremrangebyrank(rejectedPeak, 0, -2),
    ])
  }
}

function increase<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
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
