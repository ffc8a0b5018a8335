/** Messages put straight into queues, past the product's own publisher, and where the bad ones end. */
import { connect, type Options } from 'amqplib'
import type { Queue } from 'bullmq'
import type { DeadLetter } from '../../src/contracts/jobs/dead-letter.ts'
import { encodeMessage, type MessageDefinition } from '../../src/contracts/messages/message.ts'
import { MessageSigner } from '../../src/contracts/messages/signature.ts'
import { MESSAGES } from '../../src/contracts/messages/topology.ts'
import { until } from './wait.ts'
import type { World } from './world.ts'

type Body = Buffer | string | object

export interface Sender {
  /** Puts a message that nobody has signed into a queue and waits until the broker has it. */
  send(queue: string, body: Body, options?: Options.Publish): Promise<void>
  /** The same for one that is signed as the product does it, whatever is in it. */
  sendSigned(message: { key: string }, body: Body, options?: Options.Publish): Promise<void>
  /** Sends what the product itself would send. */
  sendGenuine<Payload extends object>(message: MessageDefinition<Payload>, payload: Payload): Promise<void>
  /** Messages that wait in a queue, without those a consumer has in hand. */
  depth(queue: string): Promise<number>
  close(): Promise<void>
}

export async function openSender(world: World): Promise<Sender> {
  const connection = await connect(world.config.amqpUrl)
  const channel = await connection.createConfirmChannel()
  const send: Sender['send'] = async (queue, body, options) => {
    channel.sendToQueue(queue, contentOf(body), { persistent: true, ...options })
    await channel.waitForConfirms()
  }
  const sendSigned: Sender['sendSigned'] = (message, body, options) =>
    send(world.topology.queueOf(message), body, {
      ...options,
      headers: { ...options?.headers, ...signatureOn(world, message, body) },
    })
  return {
    send,
    sendSigned,
    sendGenuine: (message, payload) =>
      sendSigned(message, encodeMessage(message, payload), { messageId: message.id(payload) }),
    depth: async (queue) => (await channel.checkQueue(queue)).messageCount,
    close: () => connection.close(),
  }
}

export interface Recorded {
  body: Buffer
  headers: Record<string, unknown>
  messageId: string
}

/** Listens to what the product publishes, without taking it from anybody. */
export async function openTap(world: World): Promise<{
  /** Waits until there are this many. */
  records(count: number): Promise<Recorded[]>
  close(): Promise<void>
}> {
  const connection = await connect(world.config.amqpUrl)
  const channel = await connection.createChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  for (const { key } of MESSAGES) await channel.bindQueue(queue, world.topology.exchange, key)
  const heard: Recorded[] = []
  await channel.consume(
    queue,
    (message) => {
      const { headers = {}, messageId } = message?.properties ?? {}
      if (message !== null) heard.push({ body: message.content, headers, messageId })
    },
    { noAck: true },
  )
  return {
    records: (count) => until(`${count} messages`, () => heard.length >= count && heard),
    close: () => connection.close(),
  }
}

/** The header that the product would give to a message of this kind with this body. */
export function signatureOn(world: World, { key }: { key: string }, body: Body): Record<string, string> {
  return new MessageSigner(world.config.jwtSecret).headersOf({ routingKey: key, body: contentOf(body) })
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

/** Takes away all dead letters, and the failed jobs of these queues, of which the triage would make new ones. */
export async function forgetDead(dead: Queue, ...queues: readonly Queue[]): Promise<void> {
  for (const queue of queues) await queue.clean(0, 0, 'failed')
  await dead.drain()
}

/** The bytes that `send` makes of a body. */
export function contentOf(body: Body): Buffer {
  if (Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}
