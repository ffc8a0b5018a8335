import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { makeBuyers } from '../../tools/lib/buyers.ts'
import { startProcess } from '../../tools/lib/processes.ts'
import { LOGS, openArena, type Arena } from '../lib/arena.ts'
import { runJob, startReference } from '../lib/child.ts'
import { clean } from '../lib/clean.ts'
import { median } from '../lib/summary.ts'
import { acceptedOf, bearerHeaders, CONNECTIONS, ordersUrl, WARM_UP_S } from '../lib/shop.ts'
import type { LoadResult } from '../load/job.ts'
import type { BenchWorld, Ratio, Sample } from '../ratio.ts'

/** More than the API accepts beside workers that share its cores. */
const BUYERS_A_SECOND = 10_000
const SETTLED_WITHIN_MS = 180_000

/**
 * API and workers under a crowd of buyers, from the first unit taken to the last verdict committed: what waits in queues
 * when the load ends is waited for, and its time counts. The naive server answers when the order is durable.
 */
export const durableOrders: readonly Ratio[] = [
  ratioOf(0, 2.5, 'API + workers + stores on one machine'),
  ratioOf(1, 8, 'the same with 1 ms of network before PostgreSQL'),
]

function ratioOf(delayMs: number, atLeast: number, where: string): Ratio {
  return {
    id: 'P4',
    what: `durable orders end to end, ${where} : naive server, a transaction (SELECT FOR UPDATE) a request`,
    unit: 'orders/s',
    goal: { atLeast },
    open: (world) => openEnds(world, delayMs),
  }
}

interface Ends {
  arena: Arena
  /** For the measured processes: their database may be behind a slow network. */
  env: NodeJS.ProcessEnv
  headers: Record<string, string>[]
  seconds: number
}

async function openEnds(world: BenchWorld, delayMs: number) {
  const arena = await openArena(world)
  const buyers = await makeBuyers(arena.knex, arena.config.jwtSecret, world.seconds * BUYERS_A_SECOND)
  const env = delayMs === 0 ? arena.env : await behindNetwork(world, arena, delayMs)
  const ends: Ends = { arena, env, headers: bearerHeaders(buyers), seconds: world.seconds }
  return {
    subject: () => measureProduct(ends),
    reference: () => measureNaive(ends),
    close: async () => undefined,
  }
}

/** The environment with the database behind a process that holds up what is sent to it. */
async function behindNetwork(world: BenchWorld, { env }: Arena, delayMs: number) {
  const url = new URL(env.DATABASE_URL ?? '')
  const network = await startReference('slow-network.ts', {
    ...env,
    TARGET_HOST: url.hostname,
    TARGET_PORT: url.port || '5432',
    DELAY_MS: String(delayMs),
  })
  world.cleanup(() => network.stop())
  const through = new URL(network.url)
  url.hostname = through.hostname
  url.port = through.port
  world.say(`P4: a round trip takes ${(await roundTripMs(url.href)).toFixed(2)} ms through this network`)
  return { ...env, DATABASE_URL: url.href }
}

/** Median of the times of the shortest query. */
async function roundTripMs(url: string): Promise<number> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const times: number[] = []
  while (times.length < 100) {
    const began = performance.now()
    await client.query('SELECT 1')
    times.push(performance.now() - began)
  }
  await client.end()
  return median(times)
}

async function measureProduct({ arena, env, headers, seconds }: Ends): Promise<Sample> {
  await clean(arena)
  const running = await Promise.all(
    (['api', 'workers'] as const).map((role) => startProcess(role, env, LOGS)),
  )
  try {
    const run = async (duration: number) => {
      const eventId = await arena.openSale(headers.length)
      const url = ordersUrl(`http://127.0.0.1:${arena.config.port}/api/v1`, eventId)
      const result = await put(url, headers, duration)
      return { eventId, result, accepted: acceptedOf(result) }
    }
    const warm = await run(WARM_UP_S)
    await untilOrdered(arena, warm.eventId, headers.length)
    const { eventId, result, accepted } = await run(seconds)
    await untilOrdered(arena, eventId, headers.length)
    const { orders, seconds: took } = await courseOf(arena, eventId)
    if (orders < accepted) throw new Error(`${accepted} accepted purchases became ${orders} orders`)
    return {
      value: orders / took,
      extra: { accepted_s: accepted / result.seconds, settle_s: took - result.seconds, p99Ms: result.p99Ms },
    }
  } finally {
    await Promise.all(running.map((process) => process.stop()))
    await arena.purge()
    await clean(arena)
  }
}

async function measureNaive({ arena, env, headers, seconds }: Ends): Promise<Sample> {
  await clean(arena)
  const naive = await startReference('naive.ts', env)
  try {
    const load = async (duration: number) => {
      const eventId = await arena.openSale(headers.length)
      return put(ordersUrl(`${naive.url}/api/v1`, eventId), headers, duration)
    }
    await load(WARM_UP_S)
    const { byStatus, errors, seconds: took, p99Ms } = await load(seconds)
    const { 201: orders = 0, ...others } = byStatus
    if (orders === 0 || errors > 0 || Object.keys(others).length > 0)
      throw new Error(`the naive server answered ${JSON.stringify(byStatus)}, ${errors} not at all`)
    return { value: orders / took, extra: { p99Ms } }
  } finally {
    await naive.stop()
    await clean(arena)
  }
}

/** Puts the load of a crowd on one sale; a buyer comes once. */
function put(url: string, headers: Record<string, string>[], seconds: number): Promise<LoadResult> {
  return runJob('closed.ts', {
    url,
    method: 'POST',
    headers,
    once: true,
    connections: CONNECTIONS,
    warmUpS: 0,
    seconds,
  })
}

/** Waits until every unit that was taken is ordered; the load's last requests may have taken theirs unanswered. */
async function untilOrdered(arena: Arena, eventId: string, stock: number): Promise<void> {
  for (const end = Date.now() + SETTLED_WITHIN_MS; ; await sleep(250)) {
    const taken = stock - Number(await arena.redis.get(spikeKeys(eventId).stock))
    const { orders } = await courseOf(arena, eventId)
    if (orders === taken) return
    if (Date.now() > end) throw new Error(`${taken} units taken became ${orders} orders`)
  }
}

/** Orders of an event, and the time from its first unit taken to its last verdict. Both clocks are this machine's. */
async function courseOf({ knex }: Arena, eventId: string): Promise<{ orders: number; seconds: number }> {
  const { rows } = await knex.raw(
    `SELECT count(*) AS orders, coalesce(extract(epoch FROM max(decided_at) - min(reserved_at)), 0)::float8 AS seconds
       FROM reservations WHERE event_id = ? AND status = 'ordered'`,
    [eventId],
  )
  return rows[0]
}
