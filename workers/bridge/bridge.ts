/**
 * Step 3: moves messages from RabbitMQ to BullMQ, one consumer for each kind. The order is what keeps them:
 * first durable on the other side, then acked. Everything on the other side ignores what it has already.
 */
import type { ConsumeMessage } from 'amqplib'
import type { MessageDefinition } from '../../src/contracts/messages/message.ts'
import { SIGNATURE_HEADER, type MessageSigner } from '../../src/contracts/messages/signature.ts'
import { declareTopology, type Topology } from '../../src/contracts/messages/topology.ts'
import { withFailpoint } from '../../src/platform/failpoints.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { BatchConsumer } from '../../src/platform/rabbitmq/batch-consumer.ts'
import type { RabbitConnection } from '../../src/platform/rabbitmq/connection.ts'
import { forwardBatch, type Forward, type Readable, type Refused } from './forward.ts'

const MAX_BATCH = 200
const MAX_WAIT_MS = 20

/** Keeps a message that can't be handled; resolves when it is safe to ack it. */
export type Park = (refused: Refused, origin: string) => Promise<void>

export interface BridgeOptions {
  connection: RabbitConnection
  topology: Topology
  signer: MessageSigner
  park: Park
  log: Logger
}

/** The consumer that bridges one kind of message. */
export function bridgeConsumer<Payload>(
  options: BridgeOptions & { message: MessageDefinition<Payload>; forward: Forward<Payload> },
): BatchConsumer {
  const { message, topology, signer, park, forward } = options
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
      const { readable, refused } = readBatch(signer, message, batch)
      refused.push(...(await withFailpoint('bridge.before-ack', () => forwardBatch(forward, readable))))
      // Parked last: a batch that is tried again because a store was down has parked nothing yet.
      for (const one of refused) {
        await park(one, queue)
        const { messageId } = one.delivery.properties
        log.warn({ messageId, reason: one.reason, attempts: one.attempts }, 'message parked')
      }
      log.debug({ size: batch.length }, 'batch bridged')
    },
  })
}

function readBatch<Payload>(
  signer: MessageSigner,
  message: MessageDefinition<Payload>,
  batch: readonly ConsumeMessage[],
): { readable: Readable<Payload>[]; refused: Refused[] } {
  const readable: Readable<Payload>[] = []
  const refused: Refused[] = []
  for (const delivery of batch) {
    const read = signer.read(message, delivery.content, delivery.properties.headers?.[SIGNATURE_HEADER])
    if (read.ok) readable.push({ delivery, payload: read.payload })
    else refused.push({ delivery, reason: read.reason, attempts: 1 })
  }
  return { readable, refused }
}
