/** A test's own view of the broker: its connection is not the one under test. */
import type { Channel } from 'amqplib'
import { connectOnce } from '../../src/platform/rabbitmq/connection.ts'
import type { World } from './world.ts'

export interface Broker {
  channel: Channel
  /** Messages that are ready in a queue, not counting those in a consumer's hands. */
  ready(queue: string): Promise<number>
  consumers(queue: string): Promise<number>
  /** Puts messages into a queue and waits until the broker has them. */
  send(queue: string, bodies: readonly string[]): Promise<void>
  close(): Promise<void>
}

export async function openBroker(world: World): Promise<Broker> {
  const connection = await connectOnce(world.config.amqpUrl, 'spike-test')
  const channel = await connection.createChannel()
  const confirming = await connection.createConfirmChannel()
  return {
    channel,
    ready: async (queue) => (await channel.checkQueue(queue)).messageCount,
    consumers: async (queue) => (await channel.checkQueue(queue)).consumerCount,
    async send(queue, bodies) {
      for (const body of bodies) confirming.sendToQueue(queue, Buffer.from(body), { persistent: true })
      await confirming.waitForConfirms()
    },
    close: () => connection.close(),
  }
}
