import { runJob } from '../lib/child.ts'
import { median } from '../lib/summary.ts'
import { acceptedOf, bearerHeaders, buyersFor, onFreshSale, openShop, ordersUrl } from '../lib/shop.ts'
import type { Ratio } from '../ratio.ts'

const LOAD = 0.7
const CALIBRATIONS = 3

/** p99 and p50 of a round are of the same load, which is 70 % of what the API accepts at most. */
export const latency: Ratio = {
  id: 'P6',
  what: 'p99 of an accepted purchase at 70 % of the accept rate (open loop, steady) : its p50',
  unit: 'ms',
  goal: { atMost: 5 },
  async open(world) {
    const { arena, apiUrl } = await openShop(world)
    const headers = bearerHeaders(await buyersFor(world, arena))
    const { seconds } = world
    const at = (eventId: string) => ({ url: ordersUrl(`${apiUrl}/api/v1`, eventId), headers, seconds })
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
  },
}
