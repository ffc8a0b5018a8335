import type { Redis } from 'ioredis'
import type { Logger } from '../platform/logger.ts'
import { spikeKeys } from './keys.ts'
import type { ReserveReply } from './scripts.ts'

/**
 * How purchase requests ended, in the words of the script. `corrupt` is an accident and `not_ready` what events that
 * do not exist are answered with: neither is counted, so memory and keys are bounded by the events with a gate.
 */
export type Outcome = Exclude<ReserveReply['kind'], 'corrupt' | 'not_ready'>

const FLUSH_MS = 1_000

/**
 * Counts outcomes in memory and adds them to Redis once a second: a purchase pays for two look-ups in maps. A count
 * that does not reach Redis is given up.
 */
export class OutcomeCounts {
  readonly #redis: Redis
  readonly #log: Logger
  #counts = new Map<string, Map<Outcome, number>>()
  #timer: NodeJS.Timeout | undefined

  constructor(redis: Redis, log: Logger) {
    this.#redis = redis
    this.#log = log
  }

  add(eventId: string, outcome: Outcome): void {
    let ofEvent = this.#counts.get(eventId)
    if (ofEvent === undefined) this.#counts.set(eventId, (ofEvent = new Map()))
    ofEvent.set(outcome, (ofEvent.get(outcome) ?? 0) + 1)
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
    const increments = [...counts].flatMap(([eventId, ofEvent]) =>
      [...ofEvent].map(([outcome, n]) => this.#redis.hincrby(spikeKeys(eventId).outcomes, outcome, n)),
    )
    const failed = (await Promise.allSettled(increments)).find((result) => result.status === 'rejected')
    if (failed !== undefined) this.#log.warn({ err: failed.reason }, 'outcomes of purchases were not counted')
  }
}

/** The counts of an event; outcomes that did not happen are left out. */
export async function readOutcomes(redis: Redis, eventId: string): Promise<Partial<Record<Outcome, number>>> {
  const counts = await redis.hgetall(spikeKeys(eventId).outcomes)
  return Object.fromEntries(Object.entries(counts).map(([outcome, n]) => [outcome, Number(n)]))
}
