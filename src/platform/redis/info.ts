import type { Redis } from 'ioredis'

/** One field of what a server tells of itself; undefined when it does not tell. */
export async function infoField(redis: Redis, section: string, name: string): Promise<string | undefined> {
  return new RegExp(`^${name}:(\\S+)`, 'm').exec(await redis.info(section))?.[1]
}

/** The id of the server's run: another one after every restart, and after a failover. */
export async function serverRunId(redis: Redis): Promise<string> {
  const runId = await infoField(redis, 'server', 'run_id')
  if (runId === undefined) throw new Error('redis does not tell its run id')
  return runId
}
