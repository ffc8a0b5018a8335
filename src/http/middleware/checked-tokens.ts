import type { Claims } from '../../users/tokens.ts'

/** A few hundred bytes each; twice as many are kept at most. */
const GENERATION = 10_000

/**
 * Claims of tokens that were checked before, by the header that carried them: a buyer who presses again is not checked
 * again. Kept until the token ends by itself; whether it was revoked is asked each time, elsewhere.
 *
 * A full map becomes the older one, and the one that was older is dropped as a whole: taking single entries out of a map
 * costs more than the map itself. Who is found in the older one moves to the newer.
 */
export class CheckedTokens {
  #newer = new Map<string, Claims>()
  #older = new Map<string, Claims>()

  /** @returns undefined for what was not checked, or has ended since */
  find(header: string): Claims | undefined {
    const newer = this.#newer.get(header)
    const claims = newer ?? this.#older.get(header)
    if (claims === undefined || claims.exp <= Math.floor(Date.now() / 1_000)) return undefined
    if (newer === undefined) this.add(header, claims)
    return claims
  }

  add(header: string, claims: Claims): void {
    if (this.#newer.size >= GENERATION) {
      this.#older = this.#newer
      this.#newer = new Map()
    }
    this.#newer.set(header, claims)
  }
}
