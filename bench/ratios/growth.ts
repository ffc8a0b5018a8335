import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { v7 as uuidv7 } from 'uuid'
import { startPrivateRedis } from '../../test/support/private-redis.ts'
import { makeBuyers, type LoadBuyer } from '../../tools/lib/buyers.ts'
import { startProcess } from '../../tools/lib/processes.ts'
import { infoField } from '../../src/platform/redis/info.ts'
import { LOGS, onlyServer, openArena, type Arena } from '../lib/arena.ts'
import { runJob } from '../lib/child.ts'
import { confirm, reserveFor } from '../lib/preload.ts'
import { acceptedOf, bearerHeaders, CONNECTIONS } from '../lib/shop.ts'
import type { BenchWorld, Ratio, Sample } from '../ratio.ts'

interface Size {
  reservations: number
  events: number
}

const SMALL: Size = { reservations: 1_000, events: 1 }
const QUICK: Size = { reservations: 100_000, events: 100 }
const BIG: Size = { reservations: 1_000_000, events: 1_000 }
/** Purchases of a measurement: a multiple of the connections, small beside what is there already. */
const PURCHASES = 80 * CONNECTIONS
const STOCK = 1_000_000
/** Measurements that do not count: a process gets cheaper for some ten thousand purchases. */
const WARM_UPS = 4

/**
 * Each side has a Redis and an API process of its own, and no workers. The cost is the processor time that the two took
 * while purchases were accepted, so that other processes' turns are not counted. Purchases are spread evenly over all
 * events, which batches by event can't make cheaper; a side figure tells what they cost when all go to one of them. Every
 * round of the small side has a new event.
 */
export const growth: Ratio = {
  id: 'P5',
  what: 'cost of an accepted purchase (Redis + API), 1,000,000 reservations of 1,000 events (100,000 of 100 without --big) : 1,000 of 1',
  unit: 'us',
  goal: { atMost: 1.1 },
  async open(world) {
    const big = await openSide(world, world.big ? BIG : QUICK)
    const small = await openSide(world, SMALL)
    let round = 0
    await measure(big, round++) // the first purchases over many events cost more than those that follow
    return {
      async subject() {
        const spread = await measure(big, round++)
        const alone = { ...big, events: [] }
        await fill(alone, SMALL)
        const { value } = await measure(alone, 0)
        return { ...spread, extra: { ...spread.extra, if_all_on_one_event: value } }
      },
      async reference() {
        for (const eventId of small.events.splice(0)) await small.arena.forgetSale(eventId)
        await fill(small, SMALL)
        return measure(small, 0)
      },
      close: async () => undefined,
    }
  },
}

interface Side {
  arena: Arena
  buyers: LoadBuyer[]
  events: string[]
  bytesEach: number
}

async function openSide(world: BenchWorld, size: Size): Promise<Side> {
  const redis = await startPrivateRedis()
  world.cleanup(() => redis.close())
  const { REDIS_URL, QUEUE_REDIS_URL = REDIS_URL } = world.env
  const env = { ...world.env, REDIS_URL: redis.url, QUEUE_REDIS_URL }
  const arena = await openArena({ ...world, env })
  const api = await startProcess('api', arena.env, LOGS)
  world.cleanup(() => api.stop())
  const buyers = await makeBuyers(arena.knex, arena.config.jwtSecret, PURCHASES)
  const side: Side = { arena, buyers, events: [], bytesEach: 0 }
  for (let i = 0; i < WARM_UPS; i++) {
    await fill(side, { reservations: 0, events: 1 })
    await measure(side, 0)
    for (const eventId of side.events.splice(0)) await arena.forgetSale(eventId)
  }
  world.say(`P5: filling ${size.events} events with ${size.reservations} reservations`)
  await fill(side, size)
  return side
}

/** Opens sales and fills them with reservations that have become orders, as most are in a sale that has run for a while. */
async function fill(side: Side, { reservations, events }: Size): Promise<void> {
  const { arena } = side
  while (side.events.length < events) side.events.push(await arena.openSale(STOCK))
  if (reservations === 0) return
  const before = Number(await infoField(onlyServer(arena.redis), 'memory', 'used_memory'))
  for (const eventId of side.events) {
    const userIds = Array.from({ length: reservations / events }, () => uuidv7())
    await confirm(arena, eventId, await reserveFor(arena, eventId, userIds))
  }
  const after = Number(await infoField(onlyServer(arena.redis), 'memory', 'used_memory'))
  side.bytesEach = (after - before) / reservations
  while ((await infoField(onlyServer(arena.redis), 'persistence', 'aof_rewrite_in_progress')) !== '0')
    await sleep(100)
}

/** @param shift another one for each measurement of the same events, so that no buyer comes to one of them twice */
async function measure({ arena, buyers, events, bytesEach }: Side, shift: number): Promise<Sample> {
  const headers = bearerHeaders(buyers)
  const requests = headers.map((entry, i) => ({
    path: `/api/v1/spike-events/${events[(i + shift) % events.length] ?? ''}/orders`,
    headers: entry,
  }))
  const url = `http://127.0.0.1:${arena.config.port}`
  const before = await costsOf(onlyServer(arena.redis), url)
  const result = await runJob('list.ts', { url, requests, connections: CONNECTIONS })
  const after = await costsOf(onlyServer(arena.redis), url)
  await arena.purge()
  const accepted = acceptedOf(result)
  const each = (from: number, to: number) => ((to - from) / accepted) * 1e6
  const redis = each(before.redisS, after.redisS)
  const api = each(before.apiS, after.apiS)
  return { value: redis + api, extra: { redis, api, bytes_per_reservation: bytesEach } }
}

/** Seconds of processor time that Redis and the API have taken since they were started. */
async function costsOf(redis: Redis, apiUrl: string): Promise<{ redisS: number; apiS: number }> {
  const used = await Promise.all(
    ['used_cpu_user', 'used_cpu_sys'].map((name) => infoField(redis, 'cpu', name)),
  )
  const text = await (await fetch(`${apiUrl}/metrics`)).text()
  const apiS = Number(/^process_cpu_seconds_total (\S+)/m.exec(text)?.[1])
  return { redisS: used.reduce((sum, seconds) => sum + Number(seconds), 0), apiS }
}
