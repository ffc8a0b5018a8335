/** What costs the stores much is read for all who look at a sale, not for each. */
import pLimit from 'p-limit'
import { freshFor } from '../src/platform/fresh.ts'

const MAX_KEPT = 100

export interface KeptByEvent<T> {
  /** What was read at most a few seconds ago, or is being read. */
  read(eventId: string): Promise<T>
  /** What is known of an event is old: whoever asks from now on gets what is read from now on. */
  forget(eventId: string): void
}

/**
 * Reads one event at a time, for all who ask meanwhile.
 * @param ms how long an answer is good for
 */
export function keptByEvent<T>(ms: number, read: (eventId: string) => Promise<T>): KeptByEvent<T> {
  const turn = pLimit(1)
  const kept = new Map<string, () => Promise<T>>()
  return {
    read(eventId) {
      const ask = kept.get(eventId) ?? freshFor(ms, () => turn(() => read(eventId)))
      kept.delete(eventId)
      kept.set(eventId, ask) // the one that was asked for last goes last
      const [oldest] = kept.keys()
      if (oldest !== undefined && kept.size > MAX_KEPT) kept.delete(oldest)
      return ask()
    },
    forget: (eventId) => void kept.delete(eventId),
  }
}
