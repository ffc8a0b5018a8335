import { DelayedError, UnrecoverableError, Worker, type Job } from 'bullmq'
import type { Redis } from 'ioredis'
import type { Logger } from '../logger.ts'
import { queuePrefix, type JobDefinition } from './job.ts'

/**
 * What a handler says about its job. Anything thrown means: try again later.
 * - `done`: finished; - `skipped`: there was nothing to do; - `later`: not due yet, without using up an attempt;
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

interface StepWorkerOptions<Step extends string, Payload> {
  definition: JobDefinition<Step, Payload>
  handler: JobHandler<Payload>
  /** Called for each job that used up its attempts; may be called again for the same job. */
  exhausted: (job: ExhaustedJob) => Promise<void>
  concurrency: number
  namespace: string
  connection: Redis
  log: Logger
}

/**
 * Runs the jobs of one step. `close()` takes no more jobs and waits for those in hand.
 * A killed worker's job comes back after the lock's time; `maxStalledCount` is high because the default fails
 * a job for good on its second crash, whatever its attempts.
 */
export function startStepWorker<Step extends string, Payload>(
  options: StepWorkerOptions<Step, Payload>,
): Worker {
  const { definition, log } = options
  const worker = new Worker(definition.step, (job, token) => runJob(options, job, token), {
    connection: options.connection,
    prefix: queuePrefix(options.namespace),
    concurrency: options.concurrency,
    lockDuration: 10_000,
    stalledInterval: 5_000,
    maxStalledCount: 20,
    metrics: { maxDataPoints: 60 },
    settings: { backoffStrategy: (attempts, _type, _error, job) => backoffMs(attempts, job) },
  })
  worker.on('error', (error) => log.warn({ step: definition.step, err: error.message }, 'worker error'))
  worker.on('failed', (job, error) => {
    const attempts = job?.attemptsMade ?? 0
    log.warn({ step: definition.step, jobId: job?.id, attempts, err: error }, 'job failed')
    if (job === undefined || !isExhausted(job, error)) return
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

async function runJob<Step extends string, Payload>(
  { definition, handler }: StepWorkerOptions<Step, Payload>,
  job: Job,
  token: string | undefined,
): Promise<unknown> {
  const payload = definition.schema.safeParse(job.data)
  if (!payload.success) throw new UnrecoverableError(`malformed payload: ${payload.error.issues[0]?.message}`)
  const outcome = await handler(payload.data)
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

/** Doubles from the job's first pause up to a minute; jitter keeps a failed batch from coming back as one. */
function backoffMs(attempts: number, job: { opts: { backoff?: unknown } } | undefined): number {
  const { delay: first = 1_000 } = (job?.opts.backoff ?? {}) as { delay?: number }
  return Math.min(first * 2 ** (attempts - 1), 60_000) * (0.5 + Math.random() / 2)
}

function isExhausted(job: Job, error: Error): boolean {
  return error.name === 'UnrecoverableError' || job.attemptsMade >= (job.opts.attempts ?? 1)
}
