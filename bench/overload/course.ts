/** One course: how much the product does at most, then a crowd that asks for several times as much, then what is left. */
import { setTimeout as sleep } from 'node:timers/promises'
import { readConservation } from '../../src/conservation.ts'
import type { Invariant } from '../../src/figures/invariants.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { startHaproxy } from '../../tools/services/haproxy.ts'
import { makeBuyers } from '../../tools/lib/buyers.ts'
import { startProcess } from '../../tools/lib/processes.ts'
import { judge, readTold } from '../../tools/check/invariants.ts'
import { openQueueReader } from '../../tools/check/queues.ts'
import { LOGS, openArena, type Arena } from '../lib/arena.ts'
import { runFlood, runJob, startReference, type Reference } from '../lib/child.ts'
import { acceptedOf, bearerHeaders, CONNECTIONS, ordersUrl } from '../lib/shop.ts'
import type { FloodPhase, FloodResult } from '../load/flood.ts'
import type { BenchWorld } from '../ratio.ts'
import { Watch, type Look } from './watch.ts'

export interface CourseOptions {
  /** Of the overload. */
  seconds: number
  /** Offered purchases, as a multiple of what is accepted at most. */
  factor: number
  connections: number
  /** Whether the crowd comes through HAProxy. */
  proxy: boolean
  /** Whether bare Koa with a purchase's duties stands in the place of the API, which is the limit of the machine. */
  bare: boolean
}

export interface Course {
  capacity: Capacity
  phases: readonly FloodPhase[]
  flood: FloodResult
  looks: readonly Look[]
  /** Milliseconds from a reservation to its verdict, of those reserved in each phase, in their order. */
  decisions: readonly { p50: number; p99: number }[]
  orders: number
  invariants: readonly Invariant[]
}

/** In a closed loop of a few connections, workers running. */
export interface Capacity {
  acceptedPerS: number
  /** From the first unit taken to the last verdict. */
  ordersPerS: number
}

const WARM_UP_S = 4
const MEASURE_S = 8
/** More than one process of this machine accepts in a second. */
const BUYERS_A_SECOND = 6_000
/** The API may accept more for a while than the closed loop showed. */
const BUYERS_SPARE = 2
const ASKS = 0.1
const SETTLED_WITHIN_MS = 120_000

export async function runCourse(world: BenchWorld, options: CourseOptions): Promise<Course> {
  const arena = await openArena(world)
  const [api, workers] = await Promise.all([
    options.bare ? startBare(arena) : startApi(arena),
    startProcess('workers', arena.env, LOGS),
  ])
  for (const process of [api, workers]) world.cleanup(() => process.stop())
  const proxy = options.proxy ? await startHaproxy(api.url, world.env, world.say) : undefined
  world.cleanup(() => proxy?.stop())
  const shop = `${proxy?.url ?? api.url}/api/v1`
  const capacity = await measureCapacity(world, arena, shop)
  const phases = phasesOf(capacity, options)
  const [rest, steady, overload, calm] = phases
  world.say(
    `${capacity.acceptedPerS.toFixed(0)} purchases/s accepted and ${capacity.ordersPerS.toFixed(0)} orders/s at most; ` +
      `now ${[rest, steady, overload, calm].map((phase) => `${phase.rate.toFixed(0)}/s for ${phase.seconds} s`).join(', ')}`,
  )
  const taken = phases.reduce(
    (sum, { rate, seconds }) => sum + Math.min(rate, capacity.acceptedPerS * BUYERS_SPARE) * seconds,
    options.connections,
  )
  const buyers = await makeBuyers(arena.knex, arena.config.jwtSecret, Math.ceil(taken))
  const eventId = await arena.openSale(buyers.length)
  const proxyPid = proxy?.pid()
  const pids = {
    API: api.pid,
    workers: workers.pid,
    ...(proxyPid === undefined ? {} : { proxy: proxyPid }),
  }
  const watch = new Watch(arena, eventId, pids, options.bare ? undefined : `${api.url}/metrics`)
  const flood = await runFlood(
    {
      url: ordersUrl(shop, eventId),
      tokens: buyers.map((buyer) => buyer.access_token),
      connections: options.connections,
      asks: options.bare ? 0 : ASKS,
      phases,
    },
    (pid) => {
      watch.also(pid)
      watch.start()
    },
  )
  await untilNone('reservations without a verdict', () => arena.redis.xlen(spikeKeys(eventId).log))
  await watch.stop()
  return {
    capacity,
    phases,
    flood,
    looks: watch.looks,
    decisions: await decisionsOf(arena, eventId, flood.beganAt, phases),
    ...(await reckon(arena, eventId, flood.told)),
  }
}

async function startApi({ env, config }: Arena): Promise<Reference> {
  const { pid, stop } = await startProcess('api', env, LOGS)
  return { url: `http://127.0.0.1:${config.port}`, pid, stop: async () => void (await stop()) }
}

function startBare({ env }: Arena): Promise<Reference> {
  return startReference('accept.ts', { ...env, DUTIES: 'all', PREFIX: '/api/v1' })
}

type Phases = readonly [rest: FloodPhase, steady: FloodPhase, overload: FloodPhase, calm: FloodPhase]

function phasesOf({ acceptedPerS }: Capacity, { seconds, factor }: CourseOptions): Phases {
  return [
    { name: 'rest', seconds: 8, rate: acceptedPerS * 0.5 },
    { name: 'steady', seconds: 8, rate: acceptedPerS * 0.7 },
    { name: 'overload', seconds, rate: acceptedPerS * factor },
    { name: 'calm', seconds: 12, rate: acceptedPerS * 0.5 },
  ]
}

async function measureCapacity(world: BenchWorld, arena: Arena, shop: string): Promise<Capacity> {
  const buyers = await makeBuyers(arena.knex, arena.config.jwtSecret, MEASURE_S * BUYERS_A_SECOND)
  const headers = bearerHeaders(buyers)
  const run = async (seconds: number) => {
    const eventId = await arena.openSale(buyers.length)
    const result = await runJob('closed.ts', {
      url: ordersUrl(shop, eventId),
      method: 'POST',
      headers,
      once: true,
      connections: CONNECTIONS,
      warmUpS: 0,
      seconds,
    })
    await untilNone('units without an order', () => arena.redis.xlen(spikeKeys(eventId).log))
    const { rows } = await arena.knex.raw(
      `SELECT (count(*) / extract(epoch FROM max(decided_at) - min(reserved_at)))::float8 AS rate
         FROM reservations WHERE event_id = ? AND status = 'ordered'`,
      [eventId],
    )
    return { acceptedPerS: acceptedOf(result) / result.seconds, ordersPerS: rows[0].rate as number }
  }
  world.say('measuring what is accepted at most')
  await run(WARM_UP_S)
  return run(MEASURE_S)
}

async function untilNone(what: string, count: () => Promise<number>): Promise<void> {
  for (const end = Date.now() + SETTLED_WITHIN_MS; ; await sleep(100)) {
    const left = await count()
    if (left === 0) return
    if (Date.now() > end) throw new Error(`${left} ${what} after ${SETTLED_WITHIN_MS / 1_000} s`)
  }
}

async function decisionsOf(
  { knex }: Arena,
  eventId: string,
  beganAt: number,
  phases: readonly FloodPhase[],
): Promise<{ p50: number; p99: number }[]> {
  const decisions = []
  let fromMs = beganAt
  for (const { seconds } of phases) {
    const { rows } = await knex.raw(
      `SELECT percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP
                (ORDER BY extract(epoch FROM decided_at - reserved_at) * 1000)::float8[] AS ms
         FROM reservations
        WHERE event_id = ? AND reserved_at >= to_timestamp(?) AND reserved_at < to_timestamp(?)`,
      [eventId, fromMs / 1_000, fromMs / 1_000 + seconds],
    )
    const [p50 = NaN, p99 = NaN]: number[] = rows[0].ms ?? []
    decisions.push({ p50, p99 })
    fromMs += seconds * 1_000
  }
  return decisions
}

/** Waits for the queues to be empty, and judges. */
async function reckon(arena: Arena, eventId: string, told: readonly string[]) {
  const { knex, config } = arena
  const queues = await openQueueReader(config.amqpUrl, arena.queueRedis, config.namespace)
  try {
    await untilNone('messages and jobs in queues', async () => (await queues.read()).waiting)
    await untilNone('unpublished facts', async () => {
      const { rows } = await knex.raw('SELECT count(*)::int AS n FROM outbox WHERE published_at IS NULL')
      return rows[0].n as number
    })
    await untilNone('messages and jobs in queues', async () => (await queues.read()).waiting)
    const facts = await readConservation(arena, eventId)
    if (facts === undefined) throw new Error('the sale is gone')
    const invariants = judge(facts, await readTold(knex, eventId, { told }), await queues.read())
    return { orders: facts.ledger.ordered, invariants }
  } finally {
    await queues.close()
  }
}
