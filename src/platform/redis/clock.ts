import type { Redis } from 'ioredis'

/** The time of a Redis in milliseconds since 1970: what its scripts wrote is held against this clock, not ours. */
export async function redisNow(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}
