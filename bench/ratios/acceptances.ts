import { runJob } from '../lib/child.ts'
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
import type { LoadResult } from '../load/job.ts'
import type { BenchWorld, Ratio, Sample } from '../ratio.ts'

const BARE = 'bare Koa, same script and publish'

/** The ratio is about the API: no workers run, every measurement has a fresh sale and empty queues. */
export const acceptances: readonly Ratio[] = [
  ratioOf(
    'accepted purchases (202, confirmed by the broker; no workers)',
    async (_world, { apiUrl }) => `${apiUrl}/api/v1`,
  ),
  // No subject of ours: what is left of the goal with what the contract asks of an answer and nothing else.
  ratioOf('limit on this machine: bare Koa with token, proof, signature, mark and headers', (world, shop) =>
    startBare(world, shop, { DUTIES: 'all' }),
  ),
]

function ratioOf(what: string, start: (world: BenchWorld, shop: Shop) => Promise<string>): Ratio {
  return {
    id: 'P2',
    what: `${what} : ${BARE}`,
    unit: 'purchases/s',
    goal: { atLeast: 0.8 },
    async open(world) {
      const shop = await openShop(world) // its API declares the queues, also for others
      const { arena } = shop
      const subject = await start(world, shop)
      const bare = await startBare(world, shop)
      const buyers = await buyersFor(world, arena)
      const withToken = bearerHeaders(buyers)
      const withName = nameHeaders(buyers)
      const measure = (base: string, headers: Record<string, string>[]) =>
        onFreshSale(arena, (eventId, job) =>
          runJob('closed.ts', {
            ...job,
            url: ordersUrl(base, eventId),
            headers,
            seconds: world.seconds,
          }),
        ).then(rateOf)
      return {
        subject: () => measure(subject, withToken),
        reference: () => measure(bare, withName),
        close: async () => undefined,
      }
    },
  }
}

function rateOf(result: LoadResult): Sample {
  const { seconds, p50Ms, p99Ms } = result
  return { value: acceptedOf(result) / seconds, extra: { p50Ms, p99Ms } }
}
