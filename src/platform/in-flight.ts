/** Knows the requests that wait to begin or are being worked on, and says which ones are too many. */
export class InFlight {
  readonly #limit: number
  readonly #inHand = new Set<object>()
  readonly #excess = new WeakSet<object>()

  constructor(limit: number) {
    this.#limit = limit
  }

  get count(): number {
    return this.#inHand.size
  }

  /** Counts a request, or marks it as one too many. */
  enter(request: object): 'counted' | 'excess' {
    if (this.#inHand.size >= this.#limit) {
      this.#excess.add(request)
      return 'excess'
    }
    this.#inHand.add(request)
    return 'counted'
  }

  /** Ends what `enter` has begun. A request that is not counted, or no longer, has nothing to give back. */
  leave(request: object): void {
    this.#inHand.delete(request)
  }

  /**
   * Leaves a counted request out while it waits for its client, who may take long on purpose. Afterwards it enters
   * like a new one, and may be one too many then. What rejects stays out: nothing is left to do for it.
   */
  async aside<T>(request: object, waiting: () => Promise<T>): Promise<T> {
    if (!this.#inHand.delete(request)) return waiting()
    const result = await waiting()
    this.enter(request)
    return result
  }

  isExcess(request: object): boolean {
    return this.#excess.has(request)
  }
}
