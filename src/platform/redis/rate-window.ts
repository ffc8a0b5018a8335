import type { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'

/** After a command that Redis did not take, counting in memory goes on for this long before it is asked again. */
const WITHOUT_REDIS_MS = 1_000

interface RateWindowOptions {
  redis: Redis
  /** Prefix of the keys in Redis. */
  prefix: string
  points: number
  durationS: number
  /** Whether each process counts by itself while Redis is away; else `take` throws then. */
  local: boolean
}

export interface Taken {
  allowed: boolean
  /** What the window allows, and what is left of it. */
  points: number
  durationS: number
  left: number
  resetS: number
}

/**
 * A fixed window for each key, counted in Redis for all processes; it begins with the first request.
 * A key that is used up is refused from memory, without asking Redis.
 */
export class RateWindow {
  readonly #options: RateWindowOptions
  readonly #shared: RateLimiterRedis
  readonly #local: RateLimiterMemory
  #localUntil = 0

  constructor(options: RateWindowOptions) {
    const { redis, prefix, points, durationS: duration } = options
    this.#options = options
    this.#shared = new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: prefix,
      points,
      duration,
      inMemoryBlockOnConsumed: points,
      rejectIfRedisNotReady: true,
    })
    this.#local = new RateLimiterMemory({ keyPrefix: prefix, points, duration })
  }

  /** Takes one point of a key. @throws the error of Redis, unless the window may be counted locally */
  async take(key: string): Promise<Taken> {
    if (Date.now() < this.#localUntil) return this.#consume(this.#local, key)
    try {
      return await this.#consume(this.#shared, key)
    } catch (error) {
      if (!this.#options.local) throw error
      // The next ones do not wait for a silent server, one time limit after the other.
      this.#localUntil = Date.now() + WITHOUT_REDIS_MS
      return this.#consume(this.#local, key)
    }
  }

  async #consume(limiter: RateLimiterRedis | RateLimiterMemory, key: string): Promise<Taken> {
    const { points, durationS } = this.#options
    const taken = (allowed: boolean, { remainingPoints, msBeforeNext }: RateLimiterRes): Taken => ({
      allowed,
      points,
      durationS,
      left: remainingPoints,
      resetS: Math.max(1, Math.ceil(msBeforeNext / 1_000)),
    })
    try {
      return taken(true, await limiter.consume(key))
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused
      return taken(false, refused)
    }
  }
}
