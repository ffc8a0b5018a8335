import { setTimeout as sleep } from 'node:timers/promises'

const LIMIT_MS = 20_000

/**
 * Waits until a condition holds and returns its value; tests wait for conditions, never for seconds.
 * @param probe returns undefined, null or false while the condition does not hold
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  limitMs = LIMIT_MS,
): Promise<T> {
  const end = Date.now() + limitMs
  for (;;) {
    const value = await probe()
    if (value !== undefined && value !== null && value !== false) return value
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms in vain for: ${what}`)
    await sleep(20)
  }
}
