import { withinTime } from '../time-limit.ts'
import type { RabbitConnection } from './connection.ts'

const ANSWER_WITHIN_MS = 2_000
/** More at the same time would only wait for each other. */
const MAX_ASKED = 50

/** Questions that wait for a channel or an answer. While a broker is away, the library keeps them until it is back. */
const asked = new WeakMap<RabbitConnection, number>()

/**
 * Messages that wait in a queue; those that a consumer has in hand are not counted.
 * @throws when the broker does not answer in time, or has no such queue
 */
export async function queueDepth(connection: RabbitConnection, queue: string): Promise<number> {
  const pending = asked.get(connection) ?? 0
  if (pending >= MAX_ASKED) throw new Error('rabbitmq owes too many answers already')
  asked.set(connection, pending + 1)
  const answer = ask(connection, queue).finally(() => asked.set(connection, (asked.get(connection) ?? 1) - 1))
  return withinTime(answer, ANSWER_WITHIN_MS)
}

async function ask(connection: RabbitConnection, queue: string): Promise<number> {
  const channel = await connection.createChannel()
  channel.on('error', () => undefined) // a queue that is missing closes the channel, which rejects the check too
  const { messageCount } = await channel.checkQueue(queue)
  await channel.close()
  return messageCount
}
