/** So few at the same time are no crowd, however slow the machine is. */
const LEAST = 64
/** Time in which they should be done on average, from when they came. */
const TARGET_MS = 100
const WINDOW_MS = 100
const MOST_DOWN = 0.5
const UP = 1.1
/** A crowd is gone when nobody was turned away for so long; the next one may be a burst that ends by itself. */
const CALM_MS = 1_000

/**
 * How many requests of a crowd a process may have in hand to be done with each in good time. That number is the machine's
 * affair, and changes with what else goes on there; so it is found out. While some are turned away, the limit falls in
 * proportion with every tenth of a second that was too slow, and rises a little with every other. A burst that fits below
 * the highest limit is let in whole.
 */
export class AdaptiveLimit {
  readonly #least: number
  readonly #most: number
  readonly #now: () => number
  #value: number
  #reachedAt = -Infinity
  #windowBegan: number
  #done = 0
  #sumMs = 0

  constructor(most: number, now: () => number = () => performance.now()) {
    this.#least = Math.min(LEAST, most)
    this.#most = most
    this.#value = most
    this.#now = now
    this.#windowBegan = now()
  }

  get value(): number {
    return this.#now() - this.#reachedAt > CALM_MS ? this.#most : this.#value
  }

  /** Hears that there was one too many. */
  reached(): void {
    this.#value = this.value
    this.#reachedAt = this.#now()
  }

  /** Hears how long one was in hand. */
  took(ms: number): void {
    this.#done++
    this.#sumMs += ms
    const now = this.#now()
    if (now - this.#windowBegan < WINDOW_MS) return
    if (this.#reachedAt >= this.#windowBegan) this.#value = this.#next(this.#sumMs / this.#done)
    this.#windowBegan = now
    this.#done = 0
    this.#sumMs = 0
  }

  #next(meanMs: number): number {
    if (meanMs <= TARGET_MS) return Math.min(this.#most, Math.ceil(this.#value * UP))
    return Math.max(this.#least, Math.floor(this.#value * Math.max(MOST_DOWN, TARGET_MS / meanMs)))
  }
}
