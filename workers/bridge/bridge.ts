/**
 * Step 3: moves messages from RabbitMQ to BullMQ, one consumer for each kind. The order is what keeps them:
 * first durable on the other side, then acked. Everything on the other side ignores what it has already.
 */
import type { ConsumeMessage } from 'amqplib'
import { decodeMessage, type MessageDefinition } from '../../src/contracts/messages/message.ts'
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
      const good: Payload[] = []
      for (const delivery of batch) {
        const decoded = decodeMessage(message, delivery.content)
        if (decoded.ok) good.push(decoded.payload)
        else {
          log.warn({ messageId: delivery.properties.messageId, reason: decoded.reason }, 'message parked')
          await park(delivery, queue, decoded.reason)
        }
      }
      if (good.length > 0) await forward(good)
      log.debug({ size: batch.length }, 'batch bridged')
    },
  })
}
