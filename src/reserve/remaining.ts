import type { Redis } from 'ioredis'
import type { Logger } from '../platform/logger.ts'
import { spikeKeys } from './keys.ts'

/** Reads how many units Redis has left of events, to show them; a Redis that does not answer shows none. */
export class Remaining {
  readonly #redis: Redis
  readonly #log: Logger
  #failing = false

  constructor(redis: Redis, log: Logger) {
    this.#redis = redis
    this.#log = log
  }

  /** @returns units for each event, in the order given; null where there is no count */
  async read(eventIds: readonly string[]): Promise<(number | null)[]> {
    if (eventIds.length === 0) return []
    // A connection that is known to be lost is not waited for: this is only to be shown.
    if (this.#redis.status !== 'ready') {
      this.#tell(new Error(`redis connection is ${this.#redis.status}`))
      return eventIds.map(() => null)
    }
    const pipeline = this.#redis.pipeline()
    for (const id of eventIds) pipeline.get(spikeKeys(id).stock)
    const replies = (await pipeline.exec()) ?? []
    this.#tell(replies.find(([error]) => error !== null)?.[0])
    return eventIds.map((_, i) => countOf(replies[i]?.[1]))
  }

  /** Says once that counts can't be read, not in every request that would show them. */
  #tell(error: Error | null | undefined): void {
    if (error && !this.#failing) this.#log.warn({ err: error }, 'remaining units are not shown')
    this.#failing = Boolean(error)
  }
}

function countOf(reply: unknown): number | null {
  return typeof reply === 'string' && /^-?\d+$/.test(reply) ? Number(reply) : null
}
