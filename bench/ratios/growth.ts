import type { Size } from '../../test/support/grown-sales.ts'
import { startPrivateRedis } from '../../test/support/private-redis.ts'
import { makeBuyers } from '../../tools/lib/buyers.ts'
import { startProcess } from '../../tools/lib/processes.ts'
import { infoField } from '../../src/platform/redis/info.ts'
import { LOGS, onlyServer, openArena } from '../lib/arena.ts'
import {
  costOnNewSales,
  openFilledSales,
  PURCHASES,
  purchaseCost,
  settled,
  warmUp,
  type PurchaseSide,
} from '../lib/purchase-cost.ts'
import type { BenchWorld, OpenRatio, Ratio } from '../ratio.ts'

const QUICK: Size = { reservations: 100_000, events: 100 }
const BIG: Size = { reservations: 1_000_000, events: 1_000 }

const common = { id: 'P5', unit: 'us', goal: { atMost: 1.1 } } as const

const SIZE = '1,000,000 reservations of 1,000 events (100,000 of 100 without --big)'

/**
 * Each side has a Redis and an API process of its own, and no workers. The cost is the processor time that the two and the
 * broker took while purchases were accepted, so that other processes' turns are not counted. Purchases go to one new event
 * on both sides, or evenly to all events, which batches by event can't make cheaper: to as many on both sides, because
 * many events at once are another kind of work than one. Every round of the small side has new events.
 */
export const growths: readonly Ratio[] = [
  {
    ...common,
    what: `cost of a purchase, all to one event, ${SIZE} : 1,000 of 1`,
    open: (world) => open(world, { spread: false }),
  },
  {
    ...common,
    what: `cost of a purchase, spread over all events, ${SIZE} : 1,000 of as many`,
    open: (world) => open(world, { spread: true }),
  },
]

async function open(world: BenchWorld, { spread }: { spread: boolean }): Promise<OpenRatio> {
  const size = world.big ? BIG : QUICK
  const big = await openSide(world)
  world.say(`P5: filling ${size.events} events with ${size.reservations} reservations`)
  const { events, bytesEach } = await fill(big, size)
  const small = await openSide(world)
  const few: Size = { reservations: 1_000, events: spread ? size.events : 1 }
  let round = 0
  const subject = () => (spread ? purchaseCost(big, events, round++) : costOnNewSales(big, few))
  await subject() // the first purchases over many events cost more than those that follow
  return {
    async subject() {
      const sample = await subject()
      return { ...sample, extra: { ...sample.extra, bytes_per_reservation: bytesEach } }
    },
    reference: () => costOnNewSales(small, few),
    close: async () => undefined,
  }
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
  const events = await openFilledSales(arena, size)
  const bytesEach = ((await usedMemory()) - before) / size.reservations
  await settled(arena)
  return { events, bytesEach }
}
