import type { RedisClient } from '../../src/platform/redis/nodes.ts'

/** Keys with their type, time to live and whole content; equal dumps mean that nothing was changed. */
export type Dump = Record<string, unknown>

/** Reads every key that matches, those that nobody should have made included. */
export async function dumpKeys(redis: RedisClient, pattern: string): Promise<Dump> {
  const found = (await redis.keys(pattern)).sort()
  const entries = await Promise.all(found.map(async (key) => [key, await contentOf(redis, key)]))
  return Object.fromEntries(entries) as Dump
}

async function contentOf(redis: RedisClient, key: string): Promise<unknown> {
  const type = await redis.type(key)
  const ttl = await redis.pttl(key)
  if (type === 'hash') return { type, ttl, value: await redis.hgetall(key) }
  if (type === 'string') return { type, ttl, value: await redis.get(key) }
  if (type === 'set') return { type, ttl, value: (await redis.smembers(key)).sort() }
  if (type === 'list') return { type, ttl, value: await redis.lrange(key, 0, -1) }
  if (type === 'stream') return { type, ttl, value: await redis.xrange(key, '-', '+') }
  throw new Error(`key ${key} has the type ${type}`)
}
