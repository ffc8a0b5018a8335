import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from './logger.ts'

/** What one pass of a loop has to say of the next one. */
export interface Pass {
  /** It should follow at once. */
  more: boolean
  /** It should not follow sooner than this; without, the loop's own pause. */
  pauseMs?: number
}

/**
 * Repeats a piece of work until it is stopped: at once while there is more, else after a pause. A failure is
 * logged when it is new and tried again with growing pauses, for ever.
 */
export class Loop {
  readonly #work: () => Promise<Pass>
  readonly #pauseMs: number
  readonly #log: Logger
  #running: Promise<void> | undefined
  #pause = new AbortController()
  #stopped = false

  constructor(work: () => Promise<Pass>, pauseMs: number, log: Logger) {
    this.#work = work
    this.#pauseMs = pauseMs
    this.#log = log
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Ends the pause: something has happened that the work waits for. In mid-pass, another one follows at once. */
  wake(): void {
    this.#pause.abort()
  }

  /** Lets the pass in hand finish. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.wake()
    await this.#running
  }

  async #run(): Promise<void> {
    let failures = 0
    while (!this.#stopped) {
      let pause = this.#pauseMs
      this.#pause = new AbortController()
      try {
        const { more, pauseMs = pause } = await this.#work()
        pause = more ? 0 : pauseMs
        failures = 0
      } catch (error) {
        if (failures === 0) this.#log.error({ err: error }, 'pass failed, will be tried again')
        pause = Math.min(this.#pauseMs * 2 ** ++failures, 5_000)
      }
      // Stopping and waking end the pause.
      await sleep(pause, undefined, { signal: this.#pause.signal }).catch(() => undefined)
    }
  }
}
