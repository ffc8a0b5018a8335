/**
 * Step 3: moves messages from RabbitMQ to BullMQ, one consumer for each kind. The order is what keeps them:
 * first durable on the other side, then acked. Everything on the other side ignores what it has already.
 */
import type { ConsumeMessage } from 'amqplib'
import { decodeMessage, type MessageDefinition } from '../../src/contracts/messages/message.ts'
import { blamesValues } from '../../src/platform/postgres/transaction.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { BatchConsumer } from '../../src/platform/rabbitmq/batch-consumer.ts'
import type { RabbitConnection } from '../../src/platform/rabbitmq/connection.ts'
import { declareTopology, type Topology } from '../../src/contracts/messages/topology.ts'

const MAX_BATCH = 200
const MAX_WAIT_MS = 20

/** Keeps a message that can never be handled, with the reason; resolves when it is safe to ack it. */
export type Park = (message: ConsumeMessage, origin: string, reason: string) => Promise<void>

interface BridgeOptions<Payload> {
  message: MessageDefinition<Payload>
  connection: RabbitConnection
  topology: Topology
  park: Park
  /** Makes the batch durable on the other side; idempotent. */
  forward: (batch: readonly Payload[]) => Promise<void>
  log: Logger
}

/** The consumer that bridges one kind of message. */
export function bridgeConsumer<Payload>(options: BridgeOptions<Payload>): BatchConsumer {
  const { message, topology, park, forward } = options
  const queue = topology.queueOf(message)
  const log = options.log.child({ step: 'bridge', message: message.key })
  return new BatchConsumer({
    connection: options.connection,
    queue,
    maxBatch: MAX_BATCH,
    maxWaitMs: MAX_WAIT_MS,
    prepare: (channel) => declareTopology(channel, topology),
    log,
    handle: async (batch) => {
      const decoded = batch.map((delivery) => ({
        delivery,
        message: decodeMessage(message, delivery.content),
      }))
      const good = decoded.flatMap(({ delivery, message: m }) =>
        m.ok ? [{ delivery, payload: m.payload }] : [],
      )
      const bad = decoded.flatMap(({ delivery, message: m }) =>
        m.ok ? [] : [{ delivery, reason: m.reason }],
      )
      bad.push(...(await forwardAll(forward, good)))
      // Parked last: a batch that is tried again because a store was down has parked nothing yet.
      for (const { delivery, reason } of bad) {
        await park(delivery, queue, reason)
        log.warn({ messageId: delivery.properties.messageId, reason }, 'message parked')
      }
      log.debug({ size: batch.length }, 'batch bridged')
    },
  })
}

interface Good<Payload> {
  delivery: ConsumeMessage
  payload: Payload
}

/**
 * Forwards a batch, and when the database refuses a value in it, each message alone.
 * @returns those that were refused, with the reason
 * @throws when a store is down
 */
async function forwardAll<Payload>(
  forward: (batch: readonly Payload[]) => Promise<void>,
  good: readonly Good<Payload>[],
): Promise<{ delivery: ConsumeMessage; reason: string }[]> {
  if (good.length === 0) return []
  try {
    await forward(good.map(({ payload }) => payload))
    return []
  } catch (error) {
    if (!blamesValues(error)) throw error
    if (good.length === 1 && good[0] !== undefined)
      return [{ delivery: good[0].delivery, reason: (error as Error).message }]
  }
  const refused = []
  for (const one of good) refused.push(...(await forwardAll(forward, [one])))
  return refused
}
