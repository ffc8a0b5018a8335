import DataLoader from 'dataloader'

/**
 * Collects single requests that arrive within a few milliseconds and serves them with one call, while each
 * caller gets its own result. When a batch fails for a reason that may lie in one of its members, every member
 * is tried alone, so that a bad one fails alone.
 * @param serve one result for each key, in order
 * @param blamesAll true for errors that say nothing about the members, such as a database that is down
 */
export function createBatcher<Key, Result>(options: {
  serve: (keys: readonly Key[]) => Promise<readonly Result[]>
  blamesAll: (error: unknown) => boolean
  maxBatch: number
  maxWaitMs: number
}): (key: Key) => Promise<Result> {
  const { serve, blamesAll, maxBatch, maxWaitMs } = options

  async function alone(key: Key): Promise<Result | Error> {
    try {
      const [result] = await serve([key])
      return result as Result
    } catch (error) {
      return error as Error
    }
  }

  async function together(keys: readonly Key[]): Promise<readonly (Result | Error)[]> {
    try {
      return await serve(keys)
    } catch (error) {
      if (keys.length === 1 || blamesAll(error)) return keys.map(() => error as Error)
    }
    const results: (Result | Error)[] = []
    for (const key of keys) {
      const last = results.at(-1)
      // An outage that began meanwhile would keep each of the others waiting for its own time limits.
      results.push(last instanceof Error && blamesAll(last) ? last : await alone(key))
    }
    return results
  }

  const loader = new DataLoader<Key, Result>(together, {
    cache: false,
    maxBatchSize: maxBatch,
    batchScheduleFn: (callback) => void setTimeout(callback, maxWaitMs),
  })
  return (key) => loader.load(key)
}
