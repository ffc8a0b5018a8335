/** The jobs of one purchase, as far as BullMQ still keeps them, and the dead letters about it. */
import type { Job, Queue } from 'bullmq'
import { closeOrderJob } from '../contracts/jobs/close-order.ts'
import { createOrderJob } from '../contracts/jobs/create-order.ts'
import { deadLetterJob } from '../contracts/jobs/dead-letter.ts'
import { releaseStockJob } from '../contracts/jobs/release-stock.ts'
import type { JobStep } from './lag.ts'
import type { JobWord, Moment } from './purchase-moments.ts'

export type PurchaseQueues = Readonly<Record<JobStep | typeof deadLetterJob.step, Queue>>

/** A job that there is, or may have been: finished ones are kept for an hour. */
export interface JobFacts {
  step: JobStep
  id: string
  /** In BullMQ's words; undefined when it is not there any more, or not yet. */
  state: string | undefined
  attempts: number
  /** Why its last attempt failed. */
  failure: string | undefined
}

export interface JobsOfPurchase {
  jobs: JobFacts[]
  moments: Moment[]
}

export async function readJobs(
  queues: PurchaseQueues,
  { rids, orderId }: { rids: readonly string[]; orderId: string | null },
): Promise<JobsOfPurchase> {
  const wanted = [
    ...rids.map((rid) => ({ step: createOrderJob.step, id: createOrderJob.jobId({ rid }) })),
    ...(orderId === null
      ? []
      : [{ step: closeOrderJob.step, id: closeOrderJob.jobId({ order_id: orderId }) }]),
    ...rids.map((rid) => ({ step: releaseStockJob.step, id: releaseStockJob.jobId({ rid }) })),
  ]
  const found = await Promise.all(wanted.map(({ step, id }) => readJob(queues[step], step, id)))
  return { jobs: found.map(({ facts }) => facts), moments: found.flatMap(({ moments }) => moments) }
}

async function readJob(
  queue: Queue,
  step: JobStep,
  id: string,
): Promise<{ facts: JobFacts; moments: Moment[] }> {
  const job: Job | undefined = await queue.getJob(id)
  if (job === undefined)
    return { facts: { step, id, state: undefined, attempts: 0, failure: undefined }, moments: [] }
  const state = await job.getState()
  return {
    facts: { step, id, state, attempts: job.attemptsMade, failure: job.failedReason },
    moments: momentsOfJob(step, job, state),
  }
}

function momentsOfJob(step: JobStep, job: Job, state: string): Moment[] {
  const moment = (what: JobWord, ms: number, detail: Moment['detail'] = {}): Moment => ({
    at: new Date(ms),
    clock: 'bullmq',
    step,
    what,
    detail: { job_id: job.id ?? '', ...detail },
  })
  const { delay = 0 } = job.opts
  const moments = [moment('job_added', job.timestamp)]
  if (state === 'delayed' && job.processedOn === undefined)
    moments.push(moment('job_due', job.timestamp + delay))
  if (job.processedOn !== undefined) moments.push(moment('job_started', job.processedOn))
  if (job.finishedOn === undefined) return moments
  const end =
    state === 'failed'
      ? moment('job_failed', job.finishedOn, { attempts: job.attemptsMade, reason: job.failedReason ?? '' })
      : moment('job_completed', job.finishedOn, { attempts: job.attemptsMade, ...resultOf(job) })
  return [...moments, end]
}

/** What the handler said of it, such as the verdict or why there was nothing to do. */
function resultOf(job: Job): Record<string, string> {
  const result: unknown = job.returnvalue
  if (typeof result !== 'object' || result === null) return {}
  return Object.fromEntries(Object.entries(result).map(([name, value]) => [name, String(value)]))
}

/** Dead letters that are read for one purchase: messages have no name that could be asked for. */
export const MAX_LETTERS = 200

/**
 * The dead letters that name one of these ids: those of its jobs by their names, and those among the first
 * `MAX_LETTERS` of the queue.
 */
export async function readDeadLetters(
  queue: Queue,
  jobs: readonly JobFacts[],
  ids: readonly string[],
): Promise<Moment[]> {
  const [listed, ...named] = await Promise.all([
    queue.getJobs(['waiting', 'delayed', 'failed', 'active'], 0, MAX_LETTERS - 1),
    ...jobs.map(({ id }) => queue.getJob(`${deadLetterJob.step}-job-${id}`)),
  ])
  const about = [...listed, ...named].filter((job) => {
    if (job === undefined) return false
    const text = JSON.stringify(job.data ?? null)
    return ids.some((id) => text.includes(id))
  })
  const letters = new Map(about.map((job) => [job?.id, job]))
  return [...letters.values()].flatMap((job) => (job === undefined ? [] : momentsOfLetter(job)))
}

function momentsOfLetter(job: Job): Moment[] {
  const letter = deadLetterJob.schema.safeParse(job.data)
  if (!letter.success) return []
  const { origin, reason, attempts, replays, dead_at } = letter.data
  return [
    {
      at: new Date(dead_at),
      clock: 'bullmq',
      step: stepOf(origin),
      what: 'dead_letter',
      detail: { letter: job.id ?? '', origin, reason, attempts, replays },
    },
  ]
}

/** A message that could not be read never left the bridge. */
function stepOf(origin: string): Moment['step'] {
  const steps: readonly JobStep[] = [createOrderJob.step, closeOrderJob.step, releaseStockJob.step]
  return steps.find((step) => step === origin) ?? 'bridge'
}
