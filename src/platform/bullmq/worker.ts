import { DelayedError, UnrecoverableError, Worker, type Job } from 'bullmq'
import type { Logger } from '../logger.ts'
import type { RedisClient } from '../redis/nodes.ts'
import { inTrace, isTracing, span } from '../telemetry/trace.ts'
import { traceIdOf } from '../telemetry/traceparent.ts'
import { queuePrefix, traceparentOf, type JobDefinition } from './job.ts'
import { PROCESS_TAG } from './process-tag.ts'

/**
 * What a handler says about its job. Anything thrown means: try again later.
 * - `done`: finished; - `skipped`: there was nothing to do; - `later`: not now, without using up an attempt;
 * - `giveUp`: will never work, goes to the dead letters
 */
export type JobOutcome =
  | { kind: 'done'; result?: unknown }
  | { kind: 'skipped'; why: string }
  | { kind: 'later'; delayMs: number }
  | { kind: 'giveUp'; why: string }

export type JobHandler<Payload> = (payload: Payload) => Promise<JobOutcome>

/** A job that will not be tried any more. */
export interface ExhaustedJob {
  step: string
  jobId: string
  payload: unknown
  error: string
  attempts: number
}

/**
 * What became of a run of a job: what its handler said, or, when it threw, whether it comes again (`retried`), can
 * never work (`failed`) or has used up its attempts (`exhausted`).
 */
export type JobResult = 'done' | 'skipped' | 'later' | 'retried' | 'failed' | 'exhausted'

/** Hears of every run of a step's jobs. */
export interface JobWatch {
  /** A job was taken up for the first time, so long after it was due. */
  taken(step: string, waitedMs: number): void
  /** A handler has ended, one way or the other. */
  handled(step: string, tookMs: number): void
  ended(step: string, result: JobResult): void
}

interface StepWorkerOptions<Step extends string, Payload> {
  definition: JobDefinition<Step, Payload>
  handler: JobHandler<Payload>
  /** Called for each job that used up its attempts; may be called again for the same job. */
  exhausted: (job: ExhaustedJob) => Promise<void>
  /** Tells errors of a store that is down, which no job can help: such a job is put off and keeps its attempts. */
  isOutage: (error: unknown) => boolean
  watch?: JobWatch
  concurrency: number
  namespace: string
  connection: RedisClient
  log: Logger
}

/** A store that is back is noticed within this time, and a job that fails by itself waits no longer than the cap. */
const OUTAGE_PAUSE_MS = 1_000
const MAX_BACKOFF_MS = 5_000

/**
 * Runs the jobs of one step. `close()` takes no more jobs and waits for those in hand.
 * A killed worker's job comes back after the lock's time; `maxStalledCount` is high because the default fails
 * a job for good on its second crash, whatever its attempts.
 */
export function startStepWorker<Step extends string, Payload>(
  options: StepWorkerOptions<Step, Payload>,
): Worker {
  const { definition, log } = options
  const handler = watched(options, puttingOffOutages(options))
  const worker = new Worker(definition.step, (job, token) => runJob(definition, handler, job, token), {
    name: PROCESS_TAG,
    connection: options.connection,
    prefix: queuePrefix(options.namespace, definition.step),
    concurrency: options.concurrency,
    lockDuration: 10_000,
    stalledInterval: 5_000,
    maxStalledCount: 20,
    runRetryDelay: 1_000, // the library waits 15 s before it asks a Redis again that refused a connection
    metrics: { maxDataPoints: 60 },
    settings: { backoffStrategy: (attempts, _type, _error, job) => backoffMs(attempts, job) },
  })
  let lastError = ''
  worker.on('active', (job) => {
    lastError = ''
    const { attemptsStarted, processedOn = 0, timestamp, opts } = job
    if (attemptsStarted === 1)
      options.watch?.taken(definition.step, processedOn - timestamp - (opts.delay ?? 0))
  })
  worker.on('error', ({ message }) => {
    // A Redis that is full refuses a hundred times a second, each time with the same words.
    if (message !== lastError) log.warn({ step: definition.step, err: message }, 'worker error')
    lastError = message
  })
  worker.on('failed', (job, error) => {
    const attempts = job?.attemptsMade ?? 0
    const trace_id = job && traceIdOf(traceparentOf(job))
    log.warn({ step: definition.step, jobId: job?.id, attempts, trace_id, err: error }, 'job failed')
    if (job === undefined) return
    const result = resultOf(job, error)
    options.watch?.ended(definition.step, result)
    if (result === 'retried') return
    log.error({ step: definition.step, jobId: job.id, advice: definition.whenExhausted }, 'job given up')
    options
      .exhausted({
        step: definition.step,
        jobId: job.id ?? '',
        payload: job.data,
        error: error.message,
        attempts,
      })
      .catch((cause: unknown) =>
        log.error({ step: definition.step, jobId: job.id, err: cause }, 'dead letter not kept'),
      )
  })
  return worker
}

/** An outage is told once, however many jobs meet it. */
function puttingOffOutages<Step extends string, Payload>({
  definition,
  handler,
  isOutage,
  log,
}: StepWorkerOptions<Step, Payload>): JobHandler<Payload> {
  let inOutage = false
  return async (payload) => {
    try {
      const outcome = await handler(payload)
      inOutage = false
      return outcome
    } catch (error) {
      if (!isOutage(error)) throw error
      if (!inOutage) log.warn({ step: definition.step, err: error }, 'a store is down, jobs are put off')
      inOutage = true
      return { kind: 'later', delayMs: jittered(OUTAGE_PAUSE_MS) }
    }
  }
}

/** What throws, or is given up, is told by the worker's own event. */
function watched<Payload>(
  { definition, watch }: Pick<StepWorkerOptions<string, Payload>, 'definition' | 'watch'>,
  handler: JobHandler<Payload>,
): JobHandler<Payload> {
  return async (payload) => {
    const began = performance.now()
    try {
      const outcome = await handler(payload)
      if (outcome.kind !== 'giveUp') watch?.ended(definition.step, outcome.kind)
      return outcome
    } finally {
      watch?.handled(definition.step, performance.now() - began)
    }
  }
}

async function runJob<Step extends string, Payload>(
  definition: JobDefinition<Step, Payload>,
  handler: JobHandler<Payload>,
  job: Job,
  token: string | undefined,
): Promise<unknown> {
  const payload = definition.schema.safeParse(job.data)
  if (!payload.success) throw new UnrecoverableError(`malformed payload: ${payload.error.issues[0]?.message}`)
  const outcome = await (isTracing()
    ? handleTraced(definition, handler, job, payload.data)
    : handler(payload.data))
  switch (outcome.kind) {
    case 'done':
      return outcome.result
    case 'skipped':
      return { skipped: outcome.why }
    case 'later':
      await job.moveToDelayed(Date.now() + outcome.delayMs, token)
      throw new DelayedError()
    case 'giveUp':
      throw new UnrecoverableError(outcome.why)
  }
}

/** The span of one run, in the trace of the job. A job of no trace has none. */
function handleTraced<Step extends string, Payload>(
  { step }: JobDefinition<Step, Payload>,
  handler: JobHandler<Payload>,
  job: Job,
  payload: Payload,
): Promise<JobOutcome> {
  return inTrace(traceparentOf(job), () =>
    span(`process ${step}`, { kind: 'CONSUMER', outcome: ({ kind }) => kind }, () => handler(payload)),
  )
}

/** Doubles from the job's first pause up to the cap. */
function backoffMs(attempts: number, job: { opts: { backoff?: unknown } } | undefined): number {
  const { delay: first = 1_000 } = (job?.opts.backoff ?? {}) as { delay?: number }
  return jittered(Math.min(first * 2 ** (attempts - 1), MAX_BACKOFF_MS))
}

/** Keeps jobs that failed together from coming back together. */
function jittered(ms: number): number {
  return Math.ceil(ms * (0.5 + Math.random() / 2))
}

function resultOf(job: Job, error: Error): Extract<JobResult, 'retried' | 'failed' | 'exhausted'> {
  if (error.name === 'UnrecoverableError') return 'failed'
  return job.attemptsMade >= (job.opts.attempts ?? 1) ? 'exhausted' : 'retried'
}
