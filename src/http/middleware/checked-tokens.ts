import type { Claims } from '../../users/tokens.ts'

/** A few hundred bytes each. */
const MAX_KEPT = 20_000

/**
 * Claims of tokens that were checked before, by the header that carried them: a buyer who presses again is not checked
 * again. Kept until the token ends by itself; whether it was revoked is asked each time, elsewhere.
 */
export class CheckedTokens {
  readonly #claims = new Map<string, Claims>()

  /** @returns undefined for what was not checked, or has ended since */
  find(header: string): Claims | undefined {
    const claims = this.#claims.get(header)
    if (claims === undefined || claims.exp > Math.floor(Date.now() / 1_000)) return claims
    this.#claims.delete(header)
    return undefined
  }

  add(header: string, claims: Claims): void {
    const [oldest] = this.#claims.keys()
    if (oldest !== undefined && this.#claims.size >= MAX_KEPT) this.#claims.delete(oldest)
    this.#claims.set(header, claims)
  }
}
