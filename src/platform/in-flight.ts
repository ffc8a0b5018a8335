/** Counts the requests that wait to begin or are being worked on, and says which ones are too many. */
export class InFlight {
  readonly #limit: number
  readonly #excess = new WeakSet<object>()
  #count = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get count(): number {
    return this.#count
  }

  /** Counts a request, or marks it as one too many. Every one that was counted has to `leave`. */
  enter(request: object): 'counted' | 'excess' {
    if (this.#count >= this.#limit) {
      this.#excess.add(request)
      return 'excess'
    }
    this.#count += 1
    return 'counted'
  }

  leave(): void {
    this.#count -= 1
  }

  /** Leaves a counted request out while it waits for its client, who may take long on purpose. */
  async aside<T>(waiting: () => Promise<T>): Promise<T> {
    this.#count -= 1
    try {
      return await waiting()
    } finally {
      this.#count += 1
    }
  }

  isExcess(request: object): boolean {
    return this.#excess.has(request)
  }
}
