import { AdaptiveLimit } from './adaptive-limit.ts'

/** Part of all places that a crowd may take; the others are for whoever comes beside it. */
const FOR_CROWD = 0.5

/**
 * Knows the requests that wait to begin or are being worked on, and says which ones are too many. There is one limit for
 * all. Those of which a crowd may come at once, and can come again, have a lower one, as low as it takes to be done with
 * them in good time.
 */
export class InFlight {
  readonly #limit: number
  readonly #crowdLimit: AdaptiveLimit
  readonly #inHand = new Set<object>()
  /** Those of a crowd, and when they came. */
  readonly #crowd = new Map<object, number>()
  readonly #excess = new WeakSet<object>()

  constructor(limit: number) {
    this.#limit = limit
    this.#crowdLimit = new AdaptiveLimit(limit * FOR_CROWD)
  }

  get count(): number {
    return this.#inHand.size
  }

  /** How many of a crowd may be in hand now. */
  get crowdLimit(): number {
    return this.#crowdLimit.value
  }

  /** Counts a request, or marks it as one too many. */
  enter(request: object, ofCrowd = false): 'counted' | 'excess' {
    const crowded = ofCrowd && this.#crowd.size >= this.#crowdLimit.value
    if (crowded) this.#crowdLimit.reached()
    if (crowded || this.#inHand.size >= this.#limit) {
      this.#excess.add(request)
      return 'excess'
    }
    this.#inHand.add(request)
    if (ofCrowd) this.#crowd.set(request, performance.now())
    return 'counted'
  }

  /** Ends what `enter` has begun. A request that is not counted, or no longer, has nothing to give back. */
  leave(request: object): void {
    this.#inHand.delete(request)
    const since = this.#crowd.get(request)
    if (since === undefined) return
    this.#crowd.delete(request)
    this.#crowdLimit.took(performance.now() - since)
  }

  /**
   * Leaves a counted request out while it waits for its client, who may take long on purpose. Afterwards it enters
   * like a new one, and may be one too many then. What rejects stays out: nothing is left to do for it.
   */
  async aside<T>(request: object, waiting: () => Promise<T>): Promise<T> {
    if (!this.#inHand.delete(request)) return waiting()
    const ofCrowd = this.#crowd.delete(request)
    const result = await waiting()
    this.enter(request, ofCrowd)
    return result
  }

  isExcess(request: object): boolean {
    return this.#excess.has(request)
  }
}
