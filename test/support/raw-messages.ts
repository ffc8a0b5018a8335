/** Messages put straight into queues, past the product's own publisher, and where the bad ones end. */
import { connect, type Options } from 'amqplib'
import type { Queue } from 'bullmq'
import type { DeadLetter } from '../../src/contracts/jobs/dead-letter.ts'
import { until } from './wait.ts'
import type { World } from './world.ts'

export interface Sender {
  /** Puts a message into a queue and waits until the broker has it. */
  send(queue: string, body: Buffer | string | object, options?: Options.Publish): Promise<void>
  /** Messages that wait in a queue, without those a consumer has in hand. */
  depth(queue: string): Promise<number>
  close(): Promise<void>
}

export async function openSender(world: World): Promise<Sender> {
  const connection = await connect(world.config.amqpUrl)
  const channel = await connection.createConfirmChannel()
  return {
    async send(queue, body, options) {
      channel.sendToQueue(queue, contentOf(body), { persistent: true, ...options })
      await channel.waitForConfirms()
    },
    depth: async (queue) => (await channel.checkQueue(queue)).messageCount,
    close: () => connection.close(),
  }
}

/** Waits until there are this many dead letters. @returns all, the oldest first */
export function deadLetters(queue: Queue, count: number, limitMs = 10_000): Promise<DeadLetter[]> {
  return until(
    `${count} dead letters`,
    async () => {
      const jobs = await queue.getJobs(['waiting'], 0, 1_000, true)
      return jobs.length >= count && jobs.map((job) => job.data as DeadLetter)
    },
    limitMs,
  )
}

/** The bytes that `send` makes of a body. */
export function contentOf(body: Buffer | string | object): Buffer {
  if (Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}
