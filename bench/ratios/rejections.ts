import { v7 as uuidv7 } from 'uuid'
import { makeBuyers } from '../../tools/lib/buyers.ts'
import { runJob, startReference } from '../lib/child.ts'
import { bearerHeaders, CONNECTIONS, openShop, openSoldOutSale, ordersUrl, WARM_UP_S } from '../lib/shop.ts'
import type { LoadJob } from '../load/job.ts'
import type { Ratio, Sample } from '../ratio.ts'

/** Many more than connections; each comes back again and again, as buyers do. */
const BUYERS = 10_000

export const rejections: Ratio = {
  id: 'P1',
  what: 'rejected purchases (sold out, token verified) : bare Koa hello',
  unit: 'requests/s',
  goal: { atLeast: 0.6 },
  async open(world) {
    const { arena, apiUrl } = await openShop(world)
    const hello = await startReference('hello.ts', world.env)
    world.cleanup(() => hello.stop())
    const eventId = await openSoldOutSale(arena)
    const buyers = await makeBuyers(arena.knex, arena.config.jwtSecret, BUYERS)
    const headers = bearerHeaders(buyers)
    const url = ordersUrl(`${apiUrl}/api/v1`, eventId)
    await expectSoldOut(url, headers[0] ?? {})
    const measure = (job: Pick<LoadJob, 'url' | 'method' | 'headers'>, status: number) =>
      rateOf(
        { ...job, once: false, connections: CONNECTIONS, warmUpS: WARM_UP_S, seconds: world.seconds },
        status,
      )
    return {
      subject: () => measure({ url, method: 'POST', headers }, 409),
      reference: () => measure({ url: `${hello.url}/hello/${uuidv7()}`, method: 'GET', headers: [{}] }, 200),
      close: async () => undefined,
    }
  },
}

async function rateOf(job: LoadJob, status: number): Promise<Sample> {
  const { byStatus, errors, seconds, p50Ms, p99Ms } = await runJob('closed.ts', job)
  const answers = byStatus[status] ?? 0
  if (answers === 0 || errors > 0 || Object.keys(byStatus).length > 1)
    throw new Error(`not all answers were ${status}: ${JSON.stringify(byStatus)}, ${errors} without one`)
  return { value: answers / seconds, extra: { p50Ms, p99Ms } }
}

async function expectSoldOut(url: string, headers: Record<string, string>): Promise<void> {
  const { error } = (await (await fetch(url, { method: 'POST', headers })).json()) as { error?: string }
  if (error !== 'SOLD_OUT') throw new Error(`the API answered ${error} where SOLD_OUT was due`)
}
