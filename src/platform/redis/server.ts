import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { RedisClient } from './nodes.ts'

/** The server that serves a key: of a cluster, one of several. */
export interface Server {
  /** Of its run: another one after every restart, after a failover, and where the key has moved to. */
  runId: string
  /** Its time in milliseconds since 1970: what its scripts wrote is held against this clock, not ours. */
  nowMs: number
}

const LUA = readFileSync(new URL('./lua/server.lua', import.meta.url), 'utf8')
const reply = z.tuple([z.string(), z.coerce.number(), z.coerce.number()])

/**
 * Asks the server of a key. Sent together with commands on this key, it is answered in their order. It is a script,
 * because no command that tells this names a key, and without one a cluster's client asks any server.
 */
export async function serverOf(redis: RedisClient, key: string): Promise<Server> {
  const [runId, seconds, microseconds] = reply.parse(await redis.eval(LUA, 1, key))
  return { runId, nowMs: seconds * 1_000 + Math.floor(microseconds / 1_000) }
}
