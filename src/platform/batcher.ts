import DataLoader from 'dataloader'
import { activeTraceparent, inTrace } from './telemetry/trace.ts'

/**
 * One call is at work while the next one is sent. More of them would be small ones, which cost as much each: under load,
 * requests that find no place collect company.
 */
const CALLS_AT_A_TIME = 2

/**
 * Collects single requests that arrive within a few milliseconds, or while earlier calls are under way, and serves
 * them with one call, while each caller gets its own result. When a batch fails for a reason that may lie in one of its members, every member
 * is tried alone, so that a bad one fails alone.
 * @param serve one result for each key, in order; in no trace itself, it is given that of each key's caller
 * @param blamesAll true for errors that say nothing about the members, such as a database that is down
 */
export function createBatcher<Key, Result>(options: {
  serve: (keys: readonly Key[], traceparents: readonly (string | undefined)[]) => Promise<readonly Result[]>
  blamesAll: (error: unknown) => boolean
  maxBatch: number
  maxWaitMs: number
}): (key: Key) => Promise<Result> {
  const { blamesAll, maxBatch, maxWaitMs } = options
  interface Request {
    key: Key
    traceparent: string | undefined
  }

  const serve = (requests: readonly Request[]): Promise<readonly Result[]> =>
    inTrace(undefined, () =>
      options.serve(
        requests.map(({ key }) => key),
        requests.map(({ traceparent }) => traceparent),
      ),
    )

  async function alone(request: Request): Promise<Result | Error> {
    try {
      const [result] = await serve([request])
      return result as Result
    } catch (error) {
      return error as Error
    }
  }

  async function together(requests: readonly Request[]): Promise<readonly (Result | Error)[]> {
    try {
      return await serve(requests)
    } catch (error) {
      if (requests.length === 1 || blamesAll(error)) return requests.map(() => error as Error)
    }
    const results: (Result | Error)[] = []
    for (const request of requests) {
      const last = results.at(-1)
      // An outage that began meanwhile would keep each of the others waiting for its own time limits.
      results.push(last instanceof Error && blamesAll(last) ? last : await alone(request))
    }
    return results
  }

  let underWay = 0
  const waiting: (() => void)[] = []
  /** A batch that has to wait may still grow. */
  function beginInTurn(begin: () => void): void {
    if (underWay === CALLS_AT_A_TIME) return void waiting.push(begin)
    underWay++
    begin()
  }
  async function inTurn(requests: readonly Request[]): Promise<readonly (Result | Error)[]> {
    try {
      return await together(requests)
    } finally {
      underWay--
      const next = waiting.shift()
      if (next !== undefined) beginInTurn(next)
    }
  }

  const loader = new DataLoader<Request, Result>(inTurn, {
    cache: false,
    maxBatchSize: maxBatch,
    batchScheduleFn: (callback) => void setTimeout(beginInTurn, maxWaitMs, callback),
  })
  return (key) => loader.load({ key, traceparent: activeTraceparent() })
}
