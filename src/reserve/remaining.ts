import type { Logger } from '../platform/logger.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { spikeKeys } from './keys.ts'

/** Reads how many units Redis has left of events, to show them; a Redis that does not answer shows none. */
export class Remaining {
  readonly #redis: RedisClient
  readonly #log: Logger
  #failing = false

  constructor(redis: RedisClient, log: Logger) {
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
    // Events may be on different servers of a cluster, and one that is away takes its own with it.
    const replies = await Promise.allSettled(eventIds.map((id) => this.#redis.get(spikeKeys(id).stock)))
    this.#tell(replies.find((reply) => reply.status === 'rejected')?.reason as Error | undefined)
    return replies.map((reply) => (reply.status === 'fulfilled' ? countOf(reply.value) : null))
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
