/** How much work lies between the steps of a purchase, and how old the oldest of it is. */
import type { Queue } from 'bullmq'
import type { Knex } from 'knex'
import { closeOrderJob } from '../contracts/jobs/close-order.ts'
import { createOrderJob } from '../contracts/jobs/create-order.ts'
import type { deadLetterJob } from '../contracts/jobs/dead-letter.ts'
import { releaseStockJob } from '../contracts/jobs/release-stock.ts'
import { orderCreated } from '../contracts/messages/order-created.ts'
import { reservationAccepted } from '../contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../contracts/messages/stock-released.ts'
import type { Topology } from '../contracts/messages/topology.ts'
import { serverOf } from '../platform/redis/server.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { withinTime } from '../platform/time-limit.ts'
import { spikeKeys } from '../reserve/keys.ts'
import { followedEventIds } from '../spike-events/model.ts'

/** Each kind of message with the step that its jobs belong to, in the order of the flow. */
export const FLOW = [
  { step: createOrderJob.step, message: reservationAccepted.key },
  { step: closeOrderJob.step, message: orderCreated.key },
  { step: releaseStockJob.step, message: stockReleased.key },
] as const

export type JobStep = (typeof FLOW)[number]['step']

/** A part whose store is silent for longer is unknown. */
const ANSWER_WITHIN_MS = 2_000

export interface LagDependencies {
  knex: Knex
  /** The stock Redis. */
  redis: RedisClient
  /** The Redis of the queues, for its clock. */
  queueRedis: RedisClient
  queues: Readonly<Record<JobStep | typeof deadLetterJob.step, Queue>>
  topology: Topology
  /** Ready messages of a queue of the broker; null when it can't be told. */
  brokerDepth: (queueName: string) => Promise<number | null>
}

/** One step's work that waits: messages in front of the bridge, jobs behind it. */
export interface StepLag {
  step: JobStep
  /** Kind of message that its jobs are made of. */
  message: string
  /** Messages ready in RabbitMQ; those that a consumer has in hand are not counted. */
  broker: number | null
  waiting: number | null
  active: number | null
  /** Jobs that are not due yet; for `close-order` that is every order that may still be paid. */
  delayed: number | null
  failed: number | null
  /** For how long the job that is next in line has been due; null also when none waits. */
  oldestWaitingMs: number | null
}

export interface Lag {
  /** In the order of the flow. */
  steps: StepLag[]
  /** Dead letters on their way in RabbitMQ, and those kept for the triage and for people. */
  deadLetters: { broker: number | null; kept: number | null }
  /** Facts that RabbitMQ has not confirmed yet. */
  outbox: { unpublished: number; oldestMs: number | null } | null
  /** Entries of all followed events whose verdict has not been applied. */
  reservationLog: { entries: number; oldestMs: number | null } | null
}

/**
 * Reads what waits where. Counts are cheap and not of one moment; ages are told by the clock of the store that holds
 * the work. Never throws for a store that is away: each part that it can't be asked for is null, `oldestMs` and
 * `oldestWaitingMs` also when there is nothing to be old.
 */
export async function readLag(deps: LagDependencies): Promise<Lag> {
  const { brokerDepth, queues, topology } = deps
  const [steps, dead, kept, outbox, reservationLog] = await Promise.all([
    Promise.all(FLOW.map((flow) => stepLag(deps, flow))),
    known(brokerDepth(topology.deadQueue)),
    known(countKept(queues['dead-letter'])),
    known(outboxLag(deps.knex)),
    known(logLag(deps)),
  ])
  return { steps, deadLetters: { broker: dead, kept }, outbox, reservationLog }
}

async function stepLag(deps: LagDependencies, { step, message }: (typeof FLOW)[number]): Promise<StepLag> {
  const queue = deps.queues[step]
  const [broker, counts, oldestWaitingMs] = await Promise.all([
    known(deps.brokerDepth(deps.topology.queueOf({ key: message }))),
    known(queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed')),
    known(oldestWaiting(queue, deps.queueRedis)),
  ])
  const count = (state: string): number | null => counts && (counts[state] ?? 0)
  return {
    step,
    message,
    broker,
    waiting: counts && (counts.waiting ?? 0) + (counts.prioritized ?? 0),
    active: count('active'),
    delayed: count('delayed'),
    failed: count('failed'),
    oldestWaitingMs,
  }
}

/** One that was tried before has been due since some time after that try: it counts from there. */
async function oldestWaiting(queue: Queue, redis: RedisClient): Promise<number | null> {
  const [job] = await queue.getJobs(['waiting'], 0, 0, true)
  if (job === undefined) return null
  const dueMs = Math.max(job.timestamp + (job.opts.delay ?? 0), job.processedOn ?? 0)
  const { nowMs } = await serverOf(redis, queue.toKey('wait'))
  return age(nowMs, dueMs)
}

/** Nothing works on them, so they wait; a failed one was put there by hand. */
function countKept(queue: Queue): Promise<number> {
  return queue.getJobCountByTypes('waiting', 'prioritized', 'active', 'delayed', 'failed')
}

async function outboxLag(knex: Knex): Promise<NonNullable<Lag['outbox']>> {
  const { rows } = await knex.raw(
    `SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS unpublished,
            (SELECT (extract(epoch FROM now() - created_at) * 1000)::int8
               FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT 1) AS age_ms`,
  )
  const [{ unpublished, age_ms: ageMs }] = rows
  return { unpublished, oldestMs: ageMs === null ? null : Math.max(0, ageMs) }
}

async function logLag({ knex, redis }: LagDependencies): Promise<NonNullable<Lag['reservationLog']>> {
  const logs = (await followedEventIds(knex)).map((id) => spikeKeys(id).log)
  // The events may be on different servers, each with a clock of its own.
  const standings = await Promise.all(logs.map((log) => logStanding(redis, log)))
  const oldest = standings.flatMap(({ oldestMs }) => (oldestMs === null ? [] : [oldestMs]))
  return {
    entries: standings.reduce((total, { entries }) => total + entries, 0),
    oldestMs: oldest.length === 0 ? null : Math.max(...oldest),
  }
}

async function logStanding(redis: RedisClient, log: string) {
  const [{ nowMs }, entries, [first]] = await Promise.all([
    serverOf(redis, log),
    redis.xlen(log),
    redis.xrange(log, '-', '+', 'COUNT', 1),
  ])
  return { entries, oldestMs: first === undefined ? null : age(nowMs, Number.parseInt(first[0], 10)) }
}

/** A moment that another clock told may lie a little ahead. */
function age(nowMs: number, thenMs: number): number {
  return Math.max(0, nowMs - thenMs)
}

/** Null in place of what a store does not tell in time. */
async function known<T>(answer: Promise<T>): Promise<T | null> {
  return withinTime(answer, ANSWER_WITHIN_MS).catch(() => null)
}
