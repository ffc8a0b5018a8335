/** Messages and jobs that come from somewhere else, come again, or come three times. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'amqplib'
import type { Job, Queue } from 'bullmq'
import { v7 as uuidv7 } from 'uuid'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import { closeOrderJob } from '../../src/contracts/jobs/close-order.ts'
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { deadLetterJob } from '../../src/contracts/jobs/dead-letter.ts'
import { releaseStockJob } from '../../src/contracts/jobs/release-stock.ts'
import { encodeMessage } from '../../src/contracts/messages/message.ts'
import { orderCreated } from '../../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../src/contracts/messages/stock-released.ts'
import { MESSAGES, topologyOf } from '../../src/contracts/messages/topology.ts'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { eventTag } from '../../src/reserve/rid.ts'
import { bearer } from '../../tools/lib/api-client.ts'
import { onRedis } from './cell.ts'
import { between, FORGED, type Fault, type FaultContext } from './fault.ts'

export const FORGERY_FAULTS: readonly Fault[] = [
  { name: 'forged-messages', strike: forgeMessages },
  { name: 'forged-jobs', strike: forgeJobs },
  { name: 'retry-jobs', strike: retryJobs },
  { name: 'triple-messages', strike: tripleMessages },
  { name: 'rebuild', strike: rebuildByAdmin },
]

/**
 * Texts that are no message, straight into the queues; and whole messages, which would take or free units if they were
 * believed: of things that are made up, and of real ones.
 */
async function forgeMessages(context: FaultContext): Promise<void> {
  const { cell, namespace, random, note } = context
  const topology = topologyOf(namespace)
  const connection = await connect(cell.direct.AMQP_URL)
  const channel = await connection.createConfirmChannel()
  let planted = 0
  const send = (message: { key: string }, bodies: readonly Buffer[]) => {
    for (const body of bodies) channel.sendToQueue(topology.queueOf(message), body, { persistent: true })
    planted += bodies.length
  }
  const count = between(random, 3, 20)
  const rids = [...several(count, () => forgedId(context.eventId)), ...(await realRids(context, count))]
  const units = rids.map((rid) => unitOf(context.eventId, rid))
  for (const message of MESSAGES) send(message, several(count, brokenBody))
  const reserved = units.map((unit) => ({
    ...unit,
    epoch: 1,
    reserved_at_ms: Date.now(),
    request_id: FORGED,
  }))
  send(reservationAccepted, encoded(reservationAccepted, reserved))
  const created = several(count, () => ({ order_id: forgedId(uuidv7()), expires_at_ms: Date.now() }))
  send(orderCreated, encoded(orderCreated, created))
  send(stockReleased, encoded(stockReleased, units))
  await channel.waitForConfirms()
  await connection.close()
  note({ kind: 'forged', count: planted })
}

/** Jobs as anybody can add them who reaches the queue Redis, or the board: made up, malformed, and of real things. */
async function forgeJobs(context: FaultContext): Promise<void> {
  const { eventId, random, note } = context
  const count = between(random, 2, 10)
  const rids = [...several(count, () => forgedId(eventId)), ...(await realRids(context, count))]
  const units = rids.map((rid) => unitOf(eventId, rid))
  const noOrders = several(count, () => ({ order_id: forgedId(uuidv7()) }))
  const broken = several(count, () => ({ rid: FORGED, order_id: FORGED }))
  let planted = 0
  await withQueues(context, async (queueOf) => {
    const forge = async ({ step }: { step: string }, payloads: readonly object[]) => {
      await queueOf(step).addBulk(payloads.map((data) => ({ name: step, data })))
      planted += payloads.length
    }
    await forge(createOrderJob, [...units, ...broken])
    await forge(closeOrderJob, [...noOrders, ...broken])
    await forge(releaseStockJob, [...units, ...broken])
  })
  note({ kind: 'forged', count: planted })
}

/** All that is done already, and all that failed, once more. */
async function retryJobs(context: FaultContext): Promise<void> {
  await withQueues(context, async (queueOf) => {
    for (const { step } of JOBS.filter((definition) => definition !== deadLetterJob))
      for (const state of ['completed', 'failed'] as const)
        await Promise.allSettled((await queueOf(step).getJobs([state])).map((job: Job) => job.retry(state)))
  })
}

/** A second listener that puts two more of everything it hears straight into the queue where it belongs. */
async function tripleMessages({ cell, namespace, random }: FaultContext): Promise<void> {
  const topology = topologyOf(namespace)
  const connection = await connect(cell.direct.AMQP_URL)
  const channel = await connection.createChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  for (const { key } of MESSAGES) await channel.bindQueue(queue, topology.exchange, key)
  await channel.consume(
    queue,
    (message) => {
      if (message === null) return
      const { content, fields, properties } = message
      for (let copies = 2; copies > 0; copies--)
        channel.sendToQueue(topology.queueOf({ key: fields.routingKey }), content, { ...properties })
    },
    { noAck: true },
  )
  await sleep(between(random, 2_000, 8_000))
  await connection.close()
}

/** Refused when the API, or one of its stores, is down: then it is only tried. */
export async function rebuildByAdmin({ shop, cell, eventId }: FaultContext): Promise<void> {
  const headers = bearer(cell.admin.token)
  const params = { path: { id: eventId } }
  await shop.POST('/api/v1/spike-events/{id}/rebuild', { headers, params }).catch(() => undefined)
}

/** A unit of a buyer who is not there. */
function unitOf(eventId: string, rid: string) {
  return { rid, event_id: eventId, user_id: uuidv7(), quantity: 1, reason: 'lapsed', forged: FORGED }
}

function encoded(definition: { version: number }, payloads: readonly object[]): Buffer[] {
  return payloads.map((payload) => encodeMessage(definition, payload))
}

/** Rids that buyers hold, have held, or wait with. */
function realRids({ cell, eventId }: FaultContext, count: number): Promise<string[]> {
  const { states } = spikeKeys(eventId)
  return onRedis(cell.direct.REDIS_URL, async (redis) => (await redis.hkeys(states)).slice(0, count))
}

let forged = 0

/** A rid or another id that looks like one of ours, down to the event that it names, and has no proof. */
function forgedId(eventId: string): string {
  const head = uuidv7({ msecs: Date.now() - ++forged }).slice(0, 18)
  return `${head}-${FORGED}${eventTag(eventId)}`
}

const BROKEN: readonly (() => string | Buffer)[] = [
  () => `${FORGED} is not JSON`,
  () => Buffer.concat([Buffer.from(FORGED), randomBytes(200)]),
  () => JSON.stringify({ v: 99, rid: FORGED }),
  () => JSON.stringify({ v: 1, rid: FORGED, order_id: FORGED, quantity: -1 }),
  () => JSON.stringify([FORGED]),
  () => JSON.stringify({ v: 1, rid: { $gt: FORGED } }),
  () => JSON.stringify({ v: 1, [FORGED]: 'x'.repeat(100_000) }),
]

function brokenBody(n: number): Buffer {
  return Buffer.from(BROKEN[n % BROKEN.length]?.() ?? FORGED)
}

function several<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => make(n))
}

async function withQueues(
  { cell, namespace }: FaultContext,
  work: (queueOf: (step: string) => Queue) => Promise<void>,
): Promise<void> {
  await onRedis(cell.direct.QUEUE_REDIS_URL, async (redis) => {
    const queues: Queue[] = []
    const queueOf = (step: string) => {
      const queue = openQueue(step, namespace, redis)
      queues.push(queue)
      return queue
    }
    try {
      await work(queueOf)
    } finally {
      for (const queue of queues) await queue.close()
    }
  })
}
