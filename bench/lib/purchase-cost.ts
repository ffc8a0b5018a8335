/** What accepted purchases cost, by the processor time that the API, its Redis and the broker have taken for them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import { soldBy, type Size } from '../../test/support/grown-sales.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { infoField } from '../../src/platform/redis/info.ts'
import type { Sample } from '../ratio.ts'
import { onlyServer, type Arena } from './arena.ts'
import { runJob } from './child.ts'
import { redisSeconds } from './cpu.ts'
import { listenerOf } from './proc.ts'
import { processSeconds } from './process-seconds.ts'
import { confirm, lapse, reserveFor } from './preload.ts'
import { acceptedOf, bearerHeaders, CONNECTIONS } from './shop.ts'

/** Purchases of a measurement: a multiple of the connections, small beside what is there already. */
export const PURCHASES = 160 * CONNECTIONS
const STOCK = 1_000_000
/** Measurements that do not count: a process gets cheaper for some ten thousand purchases. */
const WARM_UPS = 4

/** An API process without workers, on a Redis that it has for itself. */
export interface PurchaseSide {
  arena: Arena
  apiUrl: string
  /** One for each purchase. */
  buyers: readonly LoadBuyer[]
}

/** Of the reservations of a sale that has run for a while, one in so many. */
const LAPSED = 10

/** Opens sales and fills them with reservations that have become orders, and have lapsed or live. @returns their events */
export async function openFilledSales(arena: Arena, size: Size): Promise<string[]> {
  const eventIds: string[] = []
  for (let nth = 1; nth <= size.events; nth++)
    eventIds.push(await openFilledSale(arena, soldBy(nth, size) - soldBy(nth - 1, size)))
  return eventIds
}

async function openFilledSale(arena: Arena, reservations: number): Promise<string> {
  const eventId = await arena.openSale(STOCK)
  const userIds = Array.from({ length: reservations }, () => uuidv7())
  const held = await reserveFor(arena, eventId, userIds)
  await confirm(arena, eventId, held)
  await lapse(
    arena,
    eventId,
    held.filter((_, i) => i % LAPSED === 0),
  )
  return eventId
}

/** Measures on sales of its own, and forgets them. */
export async function warmUp(side: PurchaseSide): Promise<void> {
  for (let i = 0; i < WARM_UPS; i++) await costOnNewSales(side, { events: 1, reservations: 0 })
}

/** The cost on new sales with as many reservations, which are forgotten afterwards. */
export async function costOnNewSales(side: PurchaseSide, size: Size): Promise<Sample> {
  const eventIds = await openFilledSales(side.arena, size)
  await settled(side.arena)
  // The first purchases over many events cost more than those that follow.
  if (size.events > 1) await purchaseCost(side, eventIds, 0)
  const sample = await purchaseCost(side, eventIds, 1)
  for (const eventId of eventIds) await side.arena.forgetSale(eventId)
  return sample
}

/** Redis writes its log anew when that has grown, which takes time beside. */
export async function settled({ redis }: Arena): Promise<void> {
  while ((await infoField(onlyServer(redis), 'persistence', 'aof_rewrite_in_progress')) !== '0')
    await sleep(100)
}

/**
 * Microseconds a purchase, spread evenly over these events.
 * @param shift another one for each measurement of the same events, so that no buyer comes to one of them twice
 */
export async function purchaseCost(
  { arena, apiUrl, buyers }: PurchaseSide,
  events: readonly string[],
  shift: number,
): Promise<Sample> {
  const requests = bearerHeaders(buyers).map((headers, i) => ({
    path: `/api/v1/spike-events/${events[(i + shift) % events.length] ?? ''}/orders`,
    headers,
  }))
  const before = await costsOf(arena, apiUrl)
  const result = await runJob('list.ts', { url: apiUrl, requests, connections: CONNECTIONS })
  const after = await costsOf(arena, apiUrl)
  await arena.purge()
  const accepted = acceptedOf(result)
  const each = (name: keyof Costs) => ((after[name] - before[name]) / accepted) * 1e6
  const extra = { api: each('api'), redis: each('redis'), broker: each('broker') }
  return { value: extra.api + extra.redis + extra.broker, extra }
}

type Costs = Record<'api' | 'redis' | 'broker', number>

/** Processor time taken so far, in seconds; 0 for a broker that is not on this machine. */
async function costsOf({ redis, config }: Arena, apiUrl: string): Promise<Costs> {
  return {
    redis: await redisSeconds(onlyServer(redis)),
    api: await apiMetric(apiUrl, 'process_cpu_seconds_total'),
    broker: brokerSeconds(config.amqpUrl) ?? 0,
  }
}

function brokerSeconds(amqpUrl: string): number | undefined {
  const pid = listenerOf(amqpUrl)
  return pid === undefined ? undefined : processSeconds(pid)
}

/** A figure that the API tells of its own process. */
export async function apiMetric(apiUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${apiUrl}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1])
}
