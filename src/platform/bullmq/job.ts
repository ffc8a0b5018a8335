import { Queue, type JobsOptions } from 'bullmq'
import type { Redis } from 'ioredis'
import type { z } from 'zod'

/** Name of the worker's own back-off; BullMQ's exponential one has no upper limit. */
export const BACKOFF = 'capped'

/** Everything that producers, workers and the dashboard have to agree on about one kind of job. */
export interface JobDefinition<Step extends string, Payload> {
  /** Name of the step, of its queue and of its jobs. */
  step: Step
  schema: z.ZodType<Payload>
  attempts: number
  /** First pause between attempts; doubles each time up to a minute, with jitter. */
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

/** All keys of the queues share this hash tag, which BullMQ needs on Redis Cluster. */
export function queuePrefix(namespace: string): string {
  return `{${namespace}}`
}

export function openQueue(step: string, namespace: string, redis: Redis): Queue {
  const queue = new Queue(step, {
    connection: redis,
    prefix: queuePrefix(namespace),
    // A dead Redis must be an error to the producer now, not a promise that waits for ever.
    skipWaitingForReady: true,
  })
  queue.on('error', () => undefined) // the client logs its own errors; without a listener they go to the console
  return queue
}

/** Adds jobs of one kind, checking each payload against the contract. */
export class JobProducer<Step extends string, Payload> {
  readonly queue: Queue
  readonly #definition: JobDefinition<Step, Payload>

  constructor(definition: JobDefinition<Step, Payload>, namespace: string, redis: Redis) {
    this.#definition = definition
    this.queue = openQueue(definition.step, namespace, redis)
  }

  /**
   * Adds all jobs in one pipeline. Not atomic: after an error, some may be stored; adding again is harmless.
   * @param items payloads with the delay before each job is due
   */
  async addBulk(items: readonly { payload: Payload; delayMs?: number }[]): Promise<void> {
    if (items.length === 0) return
    await this.queue.addBulk(
      items.map(({ payload, delayMs }) => ({
        name: this.#definition.step,
        data: this.#definition.schema.parse(payload),
        opts: {
          ...this.#options(payload),
          ...(delayMs === undefined ? {} : { delay: Math.max(0, delayMs) }),
        },
      })),
    )
  }

  /**
   * Makes sure that a job for this payload will run: adds it, or revives the finished job that holds its id.
   * Slower than `addBulk`; meant for the sweep.
   */
  async ensure(payload: Payload): Promise<void> {
    const id = this.#definition.jobId(payload)
    const job = await this.queue.getJob(id)
    const state = job === undefined ? 'absent' : await job.getState()
    if (state === 'failed') await job?.retry('failed')
    else if (state === 'completed') await job?.remove()
    if (state !== 'failed') await this.addBulk([{ payload }])
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
