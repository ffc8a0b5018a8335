import { runJob } from '../lib/child.ts'
import { median } from '../lib/summary.ts'
import {
  acceptedOf,
  bearerHeaders,
  buyersFor,
  nameHeaders,
  onFreshSale,
  openShop,
  ordersUrl,
  startBare,
  type Shop,
} from '../lib/shop.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import type { BenchWorld, OpenRatio, Ratio } from '../ratio.ts'

const LOAD = 0.7
const CALIBRATIONS = 3

/** Who answers purchases, and how buyers say who they are. */
interface Target {
  base: string
  headers: Record<string, string>[]
}

/** p99 and p50 of a round are of the same load, which is 70 % of what the target accepts at most. */
export const latencies: readonly Ratio[] = [
  latencyOf('p99 of an accepted purchase at 70 % of the accept rate (open loop, steady)', api),
  latencyOf('limit on this machine: the same of bare Koa with the same script and publish', bare),
]

function latencyOf(
  what: string,
  targetOf: (world: BenchWorld, shop: Shop, buyers: readonly LoadBuyer[]) => Promise<Target>,
): Ratio {
  return {
    id: 'P6',
    what: `${what} : its p50`,
    unit: 'ms',
    goal: { atMost: 5 },
    async open(world) {
      const shop = await openShop(world) // its API declares the queues, also for others
      return steadily(world, shop, await targetOf(world, shop, await buyersFor(world, shop.arena)))
    },
  }
}

async function api(_world: BenchWorld, { apiUrl }: Shop, buyers: readonly LoadBuyer[]): Promise<Target> {
  return { base: `${apiUrl}/api/v1`, headers: bearerHeaders(buyers) }
}

async function bare(world: BenchWorld, shop: Shop, buyers: readonly LoadBuyer[]): Promise<Target> {
  return { base: await startBare(world, shop), headers: nameHeaders(buyers) }
}

async function steadily(world: BenchWorld, { arena }: Shop, { base, headers }: Target): Promise<OpenRatio> {
  const { seconds } = world
  const at = (eventId: string) => ({ url: ordersUrl(base, eventId), headers, seconds })
  const rates: number[] = []
  for (let i = 0; i < CALIBRATIONS; i++) {
    const full = await onFreshSale(arena, (eventId, job) => runJob('closed.ts', { ...job, ...at(eventId) }))
    rates.push(acceptedOf(full) / full.seconds)
  }
  const rate = median(rates) * LOAD
  world.say(`P6: ${median(rates).toFixed(0)} purchases/s at most, measured at ${rate.toFixed(0)}/s`)
  let p50Ms = 0
  return {
    async subject() {
      const result = await onFreshSale(arena, (eventId, job) =>
        runJob('open.ts', { ...job, ...at(eventId), rate }),
      )
      p50Ms = result.p50Ms
      return { value: result.p99Ms, extra: { rate: acceptedOf(result) / result.seconds } }
    },
    reference: async () => ({ value: p50Ms }),
    close: async () => undefined,
  }
}
