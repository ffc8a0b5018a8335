import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from './logger.ts'

/**
 * Repeats a piece of work until it is stopped: at once while there is more, else after a pause. A failure is
 * logged when it is new and tried again with growing pauses, for ever.
 */
export class Loop {
  readonly #work: () => Promise<{ more: boolean }>
  readonly #pauseMs: number
  readonly #log: Logger
  readonly #abort = new AbortController()
  #running: Promise<void> | undefined

  /** @param work one pass; `more` says that the next one should follow at once */
  constructor(work: () => Promise<{ more: boolean }>, pauseMs: number, log: Logger) {
    this.#work = work
    this.#pauseMs = pauseMs
    this.#log = log
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Lets the pass in hand finish. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    let failures = 0
    while (!signal.aborted) {
      let pause = this.#pauseMs
      try {
        if ((await this.#work()).more) pause = 0
        failures = 0
      } catch (error) {
        if (failures === 0) this.#log.error({ err: error }, 'pass failed, will be tried again')
        pause = Math.min(this.#pauseMs * 2 ** ++failures, 5_000)
      }
      await sleep(pause, undefined, { signal }).catch(() => undefined) // stopping ends the pause
    }
  }
}
