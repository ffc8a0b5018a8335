import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { withinTime } from '../time-limit.ts'
import type { RedisClient } from './nodes.ts'

/** A count that can be made here as well is not worth more waiting. */
const ANSWER_WITHIN_MS = 500
const ASK_AGAIN_AFTER_MS = 1_000

/** That Redis did not answer; shared by windows, so that requests do not wait for each of them. */
export class Outage {
  #until = 0

  get isOn(): boolean {
    return Date.now() < this.#until
  }

  begin(): void {
    this.#until = Date.now() + ASK_AGAIN_AFTER_MS
  }
}

interface RateWindowOptions {
  redis: RedisClient
  /** Shared with other windows of the same Redis. */
  outage?: Outage
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
  readonly #options: RateWindowOptions & { outage: Outage }
  readonly #shared: RateLimiterRedis
  readonly #local: RateLimiterMemory

  constructor(options: RateWindowOptions) {
    const { redis, prefix, points, durationS: duration } = options
    this.#options = { outage: new Outage(), ...options }
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
    const { outage, local } = this.#options
    if (!local) return this.#consume(this.#shared, key)
    if (outage.isOn) return this.#consume(this.#local, key)
    try {
      return await withinTime(this.#consume(this.#shared, key), ANSWER_WITHIN_MS)
    } catch {
      outage.begin()
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
