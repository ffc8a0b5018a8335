/** What load generators are asked for and what they answer. */
export interface LoadJob {
  url: string
  method: 'GET' | 'POST'
  /** Headers of each request, spread over the connections. */
  headers: Record<string, string>[]
  /** True: no entry of `headers` is sent twice, and running out of them is an error. */
  once: boolean
  connections: number
  warmUpS: number
  seconds: number
  /** Of an open loop only: requests per second, evenly spaced, whether earlier ones are answered or not. */
  rate?: number
}

export interface LoadResult {
  /** From the first answer to the last. */
  seconds: number
  byStatus: Record<string, number>
  /** Requests that got no answer. */
  errors: number
  p50Ms: number
  p99Ms: number
}

/** Collects answers. */
export class Answers {
  readonly #durations: number[] = []
  readonly #byStatus: Record<string, number> = {}
  #first = 0
  #last = 0
  errors = 0

  add(status: number, durationMs: number): void {
    this.#last = performance.now()
    if (this.#durations.length === 0) this.#first = this.#last
    this.#durations.push(durationMs)
    this.#byStatus[status] = (this.#byStatus[status] ?? 0) + 1
  }

  result(): LoadResult {
    const sorted = Float64Array.from(this.#durations).sort()
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
    return {
      seconds: (this.#last - this.#first) / 1_000,
      byStatus: this.#byStatus,
      errors: this.errors,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
    }
  }
}

/** Splits the entries of a job between its warm-up and its measurement, in proportion to their times. */
export function phasesOf(job: LoadJob): { warmUp: LoadJob; measured: LoadJob } {
  const { headers, warmUpS, seconds, once } = job
  const cut = once ? Math.floor((headers.length * warmUpS) / (warmUpS + seconds)) : 0
  return {
    warmUp: { ...job, seconds: warmUpS, headers: once ? headers.slice(0, cut) : headers },
    measured: { ...job, headers: headers.slice(cut) },
  }
}

/** Serves one job of the parent: first the warm-up, then what is measured. */
export function serveJob(run: (phase: LoadJob) => Promise<LoadResult>): void {
  process.on('disconnect', () => process.exit(1))
  process.once('message', (job) => {
    const { warmUp, measured } = phasesOf(job as LoadJob)
    const warm = warmUp.seconds > 0 ? run(warmUp) : Promise.resolve()
    void warm.then(() => run(measured)).then((result) => process.send?.(result))
  })
  process.send?.('ready')
}
