import { runJob, startReference } from '../lib/child.ts'
import { acceptedOf, bearerHeaders, buyersFor, onFreshSale, openShop, ordersUrl } from '../lib/shop.ts'
import type { LoadResult } from '../load/job.ts'
import type { Ratio, Sample } from '../ratio.ts'

/** The ratio is about the API: no workers run, every measurement has a fresh sale and empty queues. */
export const acceptances: Ratio = {
  id: 'P2',
  what: 'accepted purchases (202, confirmed by the broker; no workers) : bare Koa, same script and publish',
  unit: 'purchases/s',
  goal: { atLeast: 0.8 },
  async open(world) {
    const { arena, apiUrl } = await openShop(world)
    const bare = await startReference('accept.ts', arena.env)
    world.cleanup(() => bare.stop())
    const buyers = await buyersFor(world, arena)
    const withToken = bearerHeaders(buyers)
    const withName = buyers.map(({ user_id }) => ({ 'X-User': user_id }))
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
      subject: () => measure(`${apiUrl}/api/v1`, withToken),
      reference: () => measure(bare.url, withName),
      close: async () => undefined,
    }
  },
}

function rateOf(result: LoadResult): Sample {
  const { seconds, p50Ms, p99Ms } = result
  return { value: acceptedOf(result) / seconds, extra: { p50Ms, p99Ms } }
}
