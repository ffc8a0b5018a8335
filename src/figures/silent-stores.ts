/** A page about a purchase is worth most while a store is down: what the others know is shown without it. */
import type { Logger } from '../platform/logger.ts'
import { withinTime } from '../platform/time-limit.ts'

export type Store = 'redis' | 'bullmq'

/** Asks a store, and goes on with `otherwise` when it does not answer in time, or not with sense. */
export type Ask = <T>(store: Store, question: () => Promise<T>, otherwise: T) => Promise<T>

const ANSWER_WITHIN_MS = 2_000

/** @returns how to ask, and which stores were silent so far */
export function askStores(log: Logger): { ask: Ask; silent: ReadonlySet<Store> } {
  const silent = new Set<Store>()
  const ask: Ask = async (store, question, otherwise) => {
    try {
      return await withinTime(question(), ANSWER_WITHIN_MS)
    } catch (error) {
      if (!silent.has(store)) log.warn({ err: error, store }, 'looked up without a store')
      silent.add(store)
      return otherwise
    }
  }
  return { ask, silent }
}
