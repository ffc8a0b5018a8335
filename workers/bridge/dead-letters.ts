/**
 * The end of the line on both sides. A message that can't be handled is published to the dead-letter queue of
 * RabbitMQ with its reason; whatever lies there, put by us or by the broker, is moved to the dead-letter queue
 * of BullMQ, where exhausted jobs go too and where the dashboard shows them all.
 */
import { createHash } from 'node:crypto'
import type { ConsumeMessage } from 'amqplib'
import {
  REPLAY_COUNT_HEADER,
  REPLAYED_BY_HEADER,
  type DeadLetter,
} from '../../src/contracts/jobs/dead-letter.ts'
import { SIGNATURE_HEADER } from '../../src/contracts/messages/signature.ts'
import { declareTopology, type Topology } from '../../src/contracts/messages/topology.ts'
import { id } from '../../src/contracts/values.ts'
import type { ExhaustedJob } from '../../src/platform/bullmq/worker.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { BatchConsumer } from '../../src/platform/rabbitmq/batch-consumer.ts'
import type { RabbitConnection } from '../../src/platform/rabbitmq/connection.ts'
import type { ConfirmPublisher } from '../../src/platform/rabbitmq/publisher.ts'
import type { Park } from './bridge.ts'

const REASON_HEADER = 'x-reason'
const ORIGIN_HEADER = 'x-origin'
const ATTEMPTS_HEADER = 'x-attempts'
/** A dead letter is for people to read; a huge one is cut. */
const MAX_PAYLOAD_CHARS = 16_384
const MAX_REASON_CHARS = 2_000
const MAX_SIGNATURE_CHARS = 100
const MAX_ORIGIN_CHARS = 200

/** @param publisher publishes to the dead-letter exchange */
export function parkWith(publisher: ConfirmPublisher): Park {
  return async ({ delivery, reason, attempts }, origin) => {
    const { consumerTag, deliveryTag } = delivery.fields
    const signature = signatureOf(delivery)
    const outcome = await publisher.publish({
      routingKey: '',
      messageId: digestOf(origin, delivery, JSON.stringify([consumerTag, deliveryTag])),
      body: delivery.content,
      headers: {
        [REASON_HEADER]: reason.slice(0, MAX_REASON_CHARS),
        [ORIGIN_HEADER]: origin,
        [ATTEMPTS_HEADER]: Math.max(attempts, deliveryCount(delivery)),
        ...(signature === undefined ? {} : { [SIGNATURE_HEADER]: signature }),
        ...replayHeaders(replayOf(delivery)),
      },
    })
    if (outcome !== 'confirmed') throw new Error(`message not parked: ${outcome}`)
  }
}

/** Moves dead letters of RabbitMQ to BullMQ. */
export function deadLetterConsumer(options: {
  connection: RabbitConnection
  topology: Topology
  keep: (letters: readonly DeadLetter[]) => Promise<void>
  log: Logger
}): BatchConsumer {
  return new BatchConsumer({
    connection: options.connection,
    queue: options.topology.deadQueue,
    maxBatch: 50,
    maxWaitMs: 50,
    prepare: (channel) => declareTopology(channel, options.topology),
    handle: (batch) => options.keep(batch.map(letterOfMessage)),
    log: options.log.child({ step: 'bridge', message: 'dead-letter' }),
  })
}

export function letterOfJob(job: ExhaustedJob): DeadLetter {
  return {
    id: `job-${job.step}-${job.jobId
      .replace(`${job.step}-`, '')
      .replaceAll(/[^A-Za-z0-9-]/g, '-')
      .slice(0, 150)}`,
    origin: job.step,
    source: 'job',
    reason: job.error.slice(0, MAX_REASON_CHARS),
    attempts: job.attempts,
    payload: job.payload,
    job_id: job.jobId,
    replays: 0,
    dead_at: new Date().toISOString(),
  }
}

function letterOfMessage(message: ConsumeMessage): DeadLetter {
  const headers = message.properties.headers ?? {}
  const death = headers['x-death']?.[0]
  const origin = String(headers[ORIGIN_HEADER] ?? death?.queue ?? 'unknown').slice(0, MAX_ORIGIN_CHARS)
  const payload = message.content.toString('utf8').slice(0, MAX_PAYLOAD_CHARS)
  return {
    id: `message-${idOf(message, origin)}`,
    source: 'message',
    origin,
    reason: String(headers[REASON_HEADER] ?? death?.reason ?? 'unknown').slice(0, MAX_REASON_CHARS),
    attempts: countOf(headers[ATTEMPTS_HEADER] ?? death?.count),
    payload,
    ...(Buffer.from(payload).equals(message.content) ? {} : { cut: true as const }),
    signature: signatureOf(message),
    ...replayOf(message),
    dead_at: new Date().toISOString(),
  }
}

/** Kept with the message, so that it can be read again; a made-up one may be of any kind and size. */
function signatureOf({ properties }: ConsumeMessage): string | undefined {
  const signature: unknown = properties.headers?.[SIGNATURE_HEADER]
  return typeof signature === 'string' && signature.length <= MAX_SIGNATURE_CHARS ? signature : undefined
}

/** What its sender says of earlier replays; only shown, so that a made-up count can do no harm. */
function replayOf({ properties }: ConsumeMessage): Pick<DeadLetter, 'replays' | 'replayed_by'> {
  const count: unknown = properties.headers?.[REPLAY_COUNT_HEADER]
  if (count === undefined) return { replays: 0 }
  const { data: by } = id.safeParse(properties.headers?.[REPLAYED_BY_HEADER])
  return { replays: countOf(count), ...(by === undefined ? {} : { replayed_by: by }) }
}

function replayHeaders({ replays, replayed_by: by }: ReturnType<typeof replayOf>) {
  if (replays === 0) return {}
  return { [REPLAY_COUNT_HEADER]: replays, ...(by === undefined ? {} : { [REPLAYED_BY_HEADER]: by }) }
}

/** Nobody vouches for the headers of a dead letter: what is no count counts as one. */
function countOf(value: unknown): number {
  const count = Math.trunc(Number(value))
  return Number.isSafeInteger(count) && count > 0 ? count : 1
}

/** Stable over redeliveries of the same dead letter; one that we have parked has its id already. */
function idOf(message: ConsumeMessage, origin: string): string {
  const parked = message.properties.headers?.[ORIGIN_HEADER] !== undefined
  const { messageId } = message.properties
  if (parked && typeof messageId === 'string' && /^[0-9a-f]{32}$/.test(messageId)) return messageId
  return digestOf(origin, message, '')
}

/** @param delivery tells apart messages that are alike to the letter */
function digestOf(origin: string, message: ConsumeMessage, delivery: string): string {
  // With the signature, so that a forged copy does not stand for the genuine message.
  const name: unknown[] = [origin, message.properties.messageId, signatureOf(message), delivery]
  // One that died again after a replay is a new letter, beside the one that was put back.
  const { replays } = replayOf(message)
  if (replays > 0) name.push(replays)
  return createHash('sha256').update(JSON.stringify(name)).update(message.content).digest('hex').slice(0, 32)
}

function deliveryCount(message: ConsumeMessage): number {
  const redeliveries: unknown = message.properties.headers?.['x-delivery-count']
  return redeliveries === undefined ? 1 : countOf(redeliveries) + 1
}
