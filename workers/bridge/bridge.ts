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
import { spanInEach } from '../../src/platform/telemetry/trace.ts'
import { readTraceparent } from '../../src/platform/telemetry/traceparent.ts'
import { forwardBatch, type Forward, type Readable, type Refused } from './forward.ts'

const MAX_BATCH = 200
const MAX_WAIT_MS = 20

/** A message's payload, with the trace in which it is handled. */
export interface Consumed<Payload> {
  payload: Payload
  traceparent: string | undefined
}

/** Keeps a message that can't be handled; resolves when it is safe to ack it. */
export type Park = (refused: Refused, origin: string) => Promise<void>

/** Hears what is bridged. */
export interface BridgeWatch {
  /** A batch is through, and acked next; `parked` of its messages are dead letters now. */
  bridged(message: string, size: number, parked: number): void
  /** So many reservations came that the inbox had already. */
  duplicates(count: number): void
}

export interface BridgeOptions {
  connection: RabbitConnection
  topology: Topology
  signer: MessageSigner
  park: Park
  watch: BridgeWatch
  log: Logger
}

/** The consumer that bridges one kind of message. */
export function bridgeConsumer<Payload>(
  options: BridgeOptions & { message: MessageDefinition<Payload>; forward: Forward<Consumed<Payload>> },
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
      refused.push(
        ...(await withFailpoint('bridge.before-ack', () => forwardTraced(message.key, forward, readable))),
      )
      // Parked last: a batch that is tried again because a store was down has parked nothing yet.
      for (const one of refused) {
        await park(one, queue)
        const { messageId } = one.delivery.properties
        log.warn({ messageId, reason: one.reason, attempts: one.attempts }, 'message parked')
      }
      options.watch.bridged(message.key, batch.length, refused.length)
      log.debug({ size: batch.length }, 'batch bridged')
    },
  })
}

/** Each message in its own trace; a batch is a crowd of strangers. */
function forwardTraced<Payload>(
  key: string,
  forward: Forward<Consumed<Payload>>,
  batch: readonly Readable<Payload>[],
): Promise<Refused[]> {
  const isRefused = (refused: readonly Refused[], delivery: ConsumeMessage | undefined) =>
    refused.some((one) => one.delivery === delivery)
  return spanInEach(
    `consume ${key}`,
    {
      kind: 'CONSUMER',
      outcome: (refused: Refused[], i) => (isRefused(refused, batch[i]?.delivery) ? 'parked' : 'forwarded'),
    },
    batch.map(({ delivery }) => readTraceparent(delivery.properties.headers?.traceparent)),
    (traceparents) =>
      forwardBatch(
        forward,
        batch.map(({ delivery, payload }, i) => ({
          delivery,
          payload: { payload, traceparent: traceparents[i] },
        })),
      ),
  )
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
