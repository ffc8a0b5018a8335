import { Queue, type Job, type JobsOptions } from 'bullmq'
import type { z } from 'zod'
import type { RedisClient } from '../redis/nodes.ts'
import { isTracing, spanInEach } from '../telemetry/trace.ts'
import { readTraceparent } from '../telemetry/traceparent.ts'

/** Name of the worker's own back-off; BullMQ's exponential one has no upper limit. */
export const BACKOFF = 'capped'

/** Everything that producers, workers and the dashboard have to agree on about one kind of job. */
export interface JobDefinition<Step extends string, Payload> {
  /** Name of the step, of its queue and of its jobs. */
  step: Step
  schema: z.ZodType<Payload>
  attempts: number
  /** First pause between attempts; doubles each time up to 5 s, with jitter. */
  backoffMs: number
  /** How long a finished job, and with it the protection of its id, stays in Redis. */
  keepCompletedS: number
  /** `<step>-<id>`: BullMQ ignores a job whose id it still keeps. */
  jobId: (payload: Payload) => string
  /** What operators should know when all attempts are used up. */
  whenExhausted: string
}

export function defineJob<Step extends string, Payload>(
  definition: JobDefinition<Step, Payload>,
): JobDefinition<Step, Payload> {
  return definition
}

/**
 * What the keys of a queue begin with. It is a hash tag: BullMQ needs all keys of a queue on one server of a cluster, and
 * the queues may be on different ones.
 */
export function queuePrefix(namespace: string, step: string): string {
  return `{${namespace}:${step}}`
}

export function openQueue(step: string, namespace: string, redis: RedisClient): Queue {
  const queue = new Queue(step, {
    connection: redis,
    prefix: queuePrefix(namespace, step),
    // A dead Redis must be an error to the producer now, not a promise that waits for ever.
    skipWaitingForReady: true,
  })
  queue.on('error', () => undefined) // the client logs its own errors; without a listener they go to the console
  return queue
}

/** What is to be done, from when on, and the trace that it belongs to. */
export interface NewJob<Payload> {
  payload: Payload
  delayMs?: number
  traceparent?: string | undefined
}

/** The trace that a job's run joins. */
export function traceparentOf({ opts }: Pick<Job, 'opts'>): string | undefined {
  const metadata = opts.telemetry?.metadata
  if (metadata === undefined) return undefined
  try {
    return readTraceparent((JSON.parse(metadata) as { traceparent?: unknown } | null)?.traceparent)
  } catch {
    return undefined
  }
}

/** Adds jobs of one kind, checking each payload against the contract. */
export class JobProducer<Step extends string, Payload> {
  readonly queue: Queue
  readonly #definition: JobDefinition<Step, Payload>

  constructor(definition: JobDefinition<Step, Payload>, namespace: string, redis: RedisClient) {
    this.#definition = definition
    this.queue = openQueue(definition.step, namespace, redis)
  }

  /**
   * Adds all jobs in one pipeline. Not atomic: after an error, some may be stored; adding again is harmless.
   * @param items payloads with the delay before each job is due
   * @throws unless every single one is stored
   */
  async addBulk(items: readonly NewJob<Payload>[]): Promise<void> {
    if (items.length === 0) return
    if (!isTracing()) return this.#store(items)
    const parents = items.map(({ traceparent }) => traceparent)
    await spanInEach(`add ${this.#definition.step}`, { kind: 'PRODUCER' }, parents, (traceparents) =>
      this.#store(items.map((item, i) => ({ ...item, traceparent: traceparents[i] }))),
    )
  }

  async #store(items: readonly NewJob<Payload>[]): Promise<void> {
    const added = await this.queue.addBulk(
      items.map(({ payload, delayMs, traceparent }) => ({
        name: this.#definition.step,
        data: this.#definition.schema.parse(payload),
        opts: {
          ...this.#options(payload),
          ...(delayMs === undefined ? {} : { delay: Math.max(0, delayMs) }),
          // In the place and the form that BullMQ's own adapter has for it.
          ...(traceparent === undefined ? {} : { telemetry: { metadata: JSON.stringify({ traceparent }) } }),
        },
      })),
    )
    // For some refusals the library gives a number in place of the id, and no error.
    const missing = items.filter(({ payload }, i) => added[i]?.id !== this.#definition.jobId(payload))
    if (missing.length > 0) throw new Error(`${missing.length} of ${items.length} jobs were not stored`)
  }

  /**
   * Makes sure that a job for this payload will run: adds it, in place of a finished one that holds its id. What that
   * one carried is not trusted, and its attempts are used up. Slower than `addBulk`; meant for the sweep and the triage.
   */
  async ensure(payload: Payload, traceparent?: string): Promise<void> {
    const job = await this.queue.getJob(this.#definition.jobId(payload))
    if (job !== undefined) await removeFinished(job)
    await this.addBulk([{ payload, traceparent }])
  }

  close(): Promise<void> {
    return this.queue.close()
  }

  #options(payload: Payload): JobsOptions {
    const { attempts, backoffMs, keepCompletedS, jobId } = this.#definition
    return {
      jobId: jobId(payload),
      attempts,
      backoff: { type: BACKOFF, delay: backoffMs },
      removeOnComplete: { age: keepCompletedS },
      removeOnFail: false,
    }
  }
}

/** Removes a job that has failed or is completed; false when it is neither, because another process was faster too. */
export async function removeFinished(job: Job): Promise<boolean> {
  const isFinished = async () => ['failed', 'completed'].includes(await job.getState())
  if (!(await isFinished())) return false
  try {
    await job.remove()
    return true
  } catch (error) {
    if (await isFinished()) throw error
    return false
  }
}
