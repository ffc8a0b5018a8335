/** One size of the product's stores: a database and a Redis of its own, filled, and an API process. */
import type { Knex } from 'knex'
import { infoField } from '../../src/platform/redis/info.ts'
import { growJobs, growPostgres, growRedis, type Size } from '../../test/support/grown-sales.ts'
import { startPrivateRedis } from '../../test/support/private-redis.ts'
import { makeBuyers, type LoadBuyer } from '../../tools/lib/buyers.ts'
import { startProcess } from '../../tools/lib/processes.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import { LOGS, onlyServer, openArena, type Arena } from '../lib/arena.ts'
import { PURCHASES } from '../lib/purchase-cost.ts'
import type { BenchWorld } from '../ratio.ts'

export interface Side {
  name: string
  size: Size
  arena: Arena
  apiUrl: string
  events: string[]
  /** They have bought nothing yet. */
  buyers: LoadBuyer[]
  bytes: Bytes
}

/** All sizes that stand beside each other. */
export interface Sides {
  small: Side
  /** As few orders as the small one has, of as many sales as the big one has. */
  many: Side
  big: Side
}

/** What is kept for each of them. */
export interface Bytes {
  redisPerReservation: number
  redisPerJob: number
  jobs: number
  /** By table, with its indexes and what is stored apart. */
  postgres: Record<string, number>
}

export async function openSide(world: BenchWorld, name: string, size: Size): Promise<Side> {
  const redis = await startPrivateRedis()
  world.cleanup(() => redis.close())
  const env = { ...world.env, REDIS_URL: redis.url, QUEUE_REDIS_URL: redis.url }
  const arena = await openArena({ ...world, env })
  const began = performance.now()
  const events = await growPostgres(arena.config.databaseUrl, size)
  const { apiUrl } = await startApi(world, arena)
  const postgres = await tableBytes(arena.knex)
  const empty = await usedMemory(arena)
  await growRedis(arena, events)
  const reserved = await usedMemory(arena)
  const jobs = await growJobs({ ...arena, namespace: arena.config.namespace })
  const redisPerJob = ((await usedMemory(arena)) - reserved) / jobs
  const seconds = Math.round((performance.now() - began) / 1_000)
  world.say(
    `${name}: ${size.reservations} orders of ${size.events} sales, ${jobs} delayed jobs, in ${seconds} s`,
  )
  return {
    name,
    size,
    arena,
    apiUrl,
    events,
    buyers: await makeBuyers(arena.knex, arena.config.jwtSecret, PURCHASES),
    bytes: { redisPerReservation: (reserved - empty) / size.reservations, redisPerJob, jobs, postgres },
  }
}

/** Brings Redis back to what PostgreSQL says. */
export async function resetRedis({ arena, events }: Side): Promise<void> {
  for (const eventId of events) await arena.forgetSale(eventId)
  await growRedis(arena, events)
}

/** Starts one more API process, on a port that is free now; it is stopped with the world, or before. */
export async function startApi(
  world: BenchWorld,
  { env }: Arena,
): Promise<{ apiUrl: string; stop: () => Promise<unknown> }> {
  const port = await freePort()
  const api = await startProcess('api', { ...env, PORT: String(port) }, LOGS)
  world.cleanup(() => api.stop())
  return { apiUrl: `http://127.0.0.1:${port}`, stop: () => api.stop() }
}

async function usedMemory({ redis }: Arena): Promise<number> {
  return Number(await infoField(onlyServer(redis), 'memory', 'used_memory'))
}

async function tableBytes(knex: Knex): Promise<Record<string, number>> {
  const { rows } = await knex.raw(
    `SELECT relname AS name, pg_total_relation_size(oid) AS bytes FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  )
  return Object.fromEntries(rows.map(({ name, bytes }: { name: string; bytes: number }) => [name, bytes]))
}
