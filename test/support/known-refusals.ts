/** Refusals that a process has come to know by heart, seen from outside. */
import { randomUUID } from 'node:crypto'
import { openSocket } from './sockets.ts'
import { sendPurchase } from './two-ways.ts'
import { until } from './wait.ts'
import type { World } from './world.ts'

/** Presses until Redis is not asked for this buyer any more, so that the answer came from what is known. */
export async function pressUntilKnown(
  world: World,
  eventId: string,
  headers: () => Record<string, string>,
  userId: string,
  apiUrl = world.apiUrl,
): Promise<void> {
  // Past the client of Redis, which does not take what a busy server tells before its answer to MONITOR.
  const url = new URL(world.config.redisUrl)
  const monitor = await openSocket(url.href)
  let seen = ''
  monitor.on('data', (chunk: Buffer) => (seen += chunk.toString()))
  monitor.write(`${url.password === '' ? '' : `AUTH ${url.password}\r\n`}MONITOR\r\n`)
  /** Returns when all that Redis was told so far has been seen. */
  const catchUp = () => {
    const mark = randomUUID()
    return until('the mark', async () => {
      await world.redis.echo(mark)
      return seen.includes(mark)
    })
  }
  try {
    await until('the refusal to be known by heart', async () => {
      await catchUp()
      seen = ''
      await sendPurchase(apiUrl, eventId, { headers: headers() })
      await catchUp()
      return !seen.includes(userId)
    })
  } finally {
    monitor.destroy()
  }
}
