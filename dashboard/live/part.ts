import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { isStoreTrouble } from '../../src/platform/store-trouble.ts'
import type { PartState } from './wire.ts'

/** However slowly a part is read, it is not called old before this. */
const STALE_MS = 10_000

interface PartOptions<T> {
  /** @param earlier what was read before */
  read: (earlier: T | undefined) => Promise<T>
  /** @param tookMs how long the reading took */
  pauseMs: (tookMs: number) => number
  /** What to say when its stores do not answer. */
  away: string
  /** Something was read, or could not be. */
  changed: () => void
  log: Logger
}

/** Figures that are read again and again; while their store is away, those that were read last stay, and age. */
export class Part<T extends { asOfMs: number }> {
  readonly #options: PartOptions<T>
  readonly #loop: Loop
  /** Resolves when it was tried once. */
  readonly tried: Promise<void>
  #noteTried: () => void = () => undefined
  #value: T | undefined
  #takenAt = 0
  #staleMs = STALE_MS
  #trouble: string | null = null

  constructor(options: PartOptions<T>) {
    this.#options = options
    this.tried = new Promise((resolve) => (this.#noteTried = resolve))
    this.#loop = new Loop(() => this.#pass(), 0, options.log)
  }

  get value(): T | undefined {
    return this.#value
  }

  /** Milliseconds since the value was asked for. */
  get ageMs(): number {
    return Math.round(performance.now() - this.#takenAt)
  }

  get state(): PartState {
    const known = this.#value !== undefined
    return {
      asOfMs: this.#value?.asOfMs ?? null,
      ageMs: known ? this.ageMs : null,
      staleMs: this.#staleMs,
      trouble: this.#trouble,
    }
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  async #pass(): Promise<{ more: boolean; pauseMs: number }> {
    const askedAt = performance.now()
    try {
      this.#value = await this.#options.read(this.#value)
      this.#takenAt = askedAt
      this.#trouble = null
    } catch (error) {
      this.#note(error)
    }
    const tookMs = performance.now() - askedAt
    const pauseMs = this.#options.pauseMs(tookMs)
    this.#staleMs = Math.max(STALE_MS, 2 * (tookMs + pauseMs))
    this.#noteTried()
    this.#options.changed()
    return { more: false, pauseMs }
  }

  /** Logs trouble when it begins. */
  #note(error: unknown): void {
    if (this.#trouble === null) this.#options.log.warn({ err: error }, 'part of the live page not read')
    this.#trouble = isStoreTrouble(error) ? this.#options.away : 'Not readable: see the log of the dashboard.'
  }
}
