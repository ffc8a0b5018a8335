import { withinTime } from '../time-limit.ts'
import type { RabbitConnection } from './connection.ts'

const ANSWER_WITHIN_MS = 2_000

/**
 * Messages that wait in a queue; those that a consumer has in hand are not counted.
 * @throws when the broker does not answer in time, or has no such queue
 */
export async function queueDepth(connection: RabbitConnection, queue: string): Promise<number> {
  const ask = async () => {
    const channel = await connection.createChannel()
    channel.on('error', () => undefined) // a queue that is missing closes the channel, which rejects the check too
    const { messageCount } = await channel.checkQueue(queue)
    await channel.close()
    return messageCount
  }
  return withinTime(ask(), ANSWER_WITHIN_MS)
}
