import type { Queue } from 'bullmq'
import type { Logger } from '../logger.ts'
import { Loop } from '../loop.ts'
import type { JobHandler } from './worker.ts'

const LOOK_EVERY_MS = 2_000
/** Looks, not seconds: a process that was stopped for a while has missed them, and must not blame its worker. */
const LOOKS = 6

interface WatchdogOptions {
  /** The queue as producers see it: through a connection that the worker does not share. */
  queue: Queue
  /** Ends the process, so that its supervisor starts it anew. */
  exit: () => void
  lookEveryMs?: number
  log: Logger
}

/**
 * Ends a process whose worker has stopped taking jobs although they wait, as a worker does whose fetching hangs on a
 * connection that is gone. It does so after several looks in a row at the same oldest job, with no job in the
 * worker's hands in between. What does not count: a Redis that gives no answer, a queue that is paused, jobs that are
 * delayed, and jobs that other workers take.
 */
export class Watchdog {
  readonly #options: WatchdogOptions
  readonly #loop: Loop
  #inHand = 0
  #hasWorked = false
  #suspect: { jobId: string; looks: number } | undefined

  constructor(options: WatchdogOptions) {
    this.#options = options
    const { queue, lookEveryMs = LOOK_EVERY_MS, log } = options
    this.#loop = new Loop(() => this.#look(), lookEveryMs, log.child({ step: queue.name, part: 'watchdog' }))
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  /** The handler, with every job that it gets noticed. */
  noticing<Payload>(handler: JobHandler<Payload>): JobHandler<Payload> {
    return async (payload) => {
      this.#inHand++
      try {
        return await handler(payload)
      } finally {
        this.#inHand--
        this.#hasWorked = true
      }
    }
  }

  async #look(): Promise<{ more: boolean }> {
    const before = this.#suspect
    this.#suspect = undefined
    const { queue } = this.#options
    const [isPaused, [jobId]] = await Promise.all([queue.isPaused(), queue.getRanges(['wait'], 0, 0, true)])
    const isBusy = this.#inHand > 0 || this.#hasWorked
    this.#hasWorked = false
    if (jobId !== undefined && !isPaused && !isBusy) this.#blame(jobId, before)
    return { more: false }
  }

  #blame(jobId: string, before: { jobId: string; looks: number } | undefined): void {
    const looks = before?.jobId === jobId ? before.looks + 1 : 1
    this.#suspect = { jobId, looks }
    if (looks < LOOKS) return
    const { queue, log, exit } = this.#options
    log.fatal({ step: queue.name, jobId }, 'jobs wait and the worker takes none: exit now')
    exit()
  }
}
