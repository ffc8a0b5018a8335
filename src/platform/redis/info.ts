import type { Redis } from 'ioredis'

/** One field of what a server tells of itself; undefined when it does not tell. */
export async function infoField(redis: Redis, section: string, name: string): Promise<string | undefined> {
  return new RegExp(`^${name}:(\\S+)`, 'm').exec(await redis.info(section))?.[1]
}
