/** Refusals that a process has come to know by heart, seen from outside. */
import { randomUUID } from 'node:crypto'
import { sendPurchase } from './two-ways.ts'
import { until } from './wait.ts'
import type { World } from './world.ts'

/** Presses until nothing of the buyer is seen in Redis any more, so that the answer came from what is known. */
export async function pressUntilKnown(
  world: World,
  eventId: string,
  headers: () => Record<string, string>,
  userId: string,
  apiUrl = world.apiUrl,
): Promise<void> {
  const monitor = await world.redis.monitor()
  const seen: string[] = []
  monitor.on('monitor', (_time: string, words: string[]) => seen.push(words.join(' ')))
  /** Returns when all that Redis was told so far has been seen. */
  const catchUp = async () => {
    const mark = randomUUID()
    await world.redis.echo(mark)
    await until('the mark', () => seen.some((words) => words.includes(mark)))
  }
  try {
    await until('the refusal to be known by heart', async () => {
      await catchUp()
      seen.length = 0
      await sendPurchase(apiUrl, eventId, { headers: headers() })
      await catchUp()
      return !seen.some((words) => words.includes(userId))
    })
  } finally {
    monitor.disconnect()
  }
}
