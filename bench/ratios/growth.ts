import { soldBy, type Size } from '../../test/support/grown-sales.ts'
import { startPrivateRedis } from '../../test/support/private-redis.ts'
import { makeBuyers } from '../../tools/lib/buyers.ts'
import { startProcess } from '../../tools/lib/processes.ts'
import { infoField } from '../../src/platform/redis/info.ts'
import { LOGS, onlyServer, openArena } from '../lib/arena.ts'
import {
  costOnNewSale,
  openFilledSale,
  PURCHASES,
  purchaseCost,
  settled,
  warmUp,
  type PurchaseSide,
} from '../lib/purchase-cost.ts'
import type { BenchWorld, Ratio } from '../ratio.ts'

const SMALL: Size = { reservations: 1_000, events: 1 }
const QUICK: Size = { reservations: 100_000, events: 100 }
const BIG: Size = { reservations: 1_000_000, events: 1_000 }

/**
 * Each side has a Redis and an API process of its own, and no workers. The cost is the processor time that the two and the
 * broker took while purchases were accepted, so that other processes' turns are not counted. Purchases are spread evenly over all
 * events, which batches by event can't make cheaper; a side figure tells what they cost when all go to one of them. Every
 * round of the small side has a new event.
 */
export const growth: Ratio = {
  id: 'P5',
  what: 'cost of an accepted purchase (Redis + API + broker), 1,000,000 reservations of 1,000 events (100,000 of 100 without --big) : 1,000 of 1',
  unit: 'us',
  goal: { atMost: 1.1 },
  async open(world) {
    const size = world.big ? BIG : QUICK
    const big = await openSide(world)
    world.say(`P5: filling ${size.events} events with ${size.reservations} reservations`)
    const { events, bytesEach } = await fill(big, size)
    const small = await openSide(world)
    let round = 0
    await purchaseCost(big, events, round++) // the first purchases over many events cost more than those that follow
    return {
      async subject() {
        const spread = await purchaseCost(big, events, round++)
        const { value } = await costOnNewSale(big, SMALL.reservations)
        const extra = { ...spread.extra, bytes_per_reservation: bytesEach, if_all_on_one_event: value }
        return { ...spread, extra }
      },
      reference: () => costOnNewSale(small, SMALL.reservations),
      close: async () => undefined,
    }
  },
}

async function openSide(world: BenchWorld): Promise<PurchaseSide> {
  const redis = await startPrivateRedis()
  world.cleanup(() => redis.close())
  const { REDIS_URL, QUEUE_REDIS_URL = REDIS_URL } = world.env
  const env = { ...world.env, REDIS_URL: redis.url, QUEUE_REDIS_URL }
  const arena = await openArena({ ...world, env })
  const api = await startProcess('api', arena.env, LOGS)
  world.cleanup(() => api.stop())
  const side = {
    arena,
    apiUrl: `http://127.0.0.1:${arena.config.port}`,
    buyers: await makeBuyers(arena.knex, arena.config.jwtSecret, PURCHASES),
  }
  await warmUp(side)
  return side
}

/** @returns the events, and the bytes that Redis keeps for a reservation */
async function fill({ arena }: PurchaseSide, size: Size): Promise<{ events: string[]; bytesEach: number }> {
  const usedMemory = async () => Number(await infoField(onlyServer(arena.redis), 'memory', 'used_memory'))
  const before = await usedMemory()
  const events: string[] = []
  for (let nth = 1; nth <= size.events; nth++)
    events.push(await openFilledSale(arena, soldBy(nth, size) - soldBy(nth - 1, size)))
  const bytesEach = ((await usedMemory()) - before) / size.reservations
  await settled(arena)
  return { events, bytesEach }
}
