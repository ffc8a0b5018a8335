/** Which tokens have ended before their time; kept in memory, so that checking one costs no round trip. */
import type { Knex } from 'knex'
import { Loop } from '../platform/loop.ts'
import type { Logger } from '../platform/logger.ts'
import { MAX_TOKEN_TTL_S } from './tokens.ts'

const PAUSE_MS = 500
/** After this, every token that a revocation is about has ended by itself, on clocks that differ by an hour too. */
const KEEP_S = MAX_TOKEN_TTL_S + 3_600
const TIDY_EVERY_MS = 3_600_000

interface Revocation {
  minVersion: number
  revokedAtMs: number
}

/**
 * The oldest good token version of every account whose tokens were revoked. PostgreSQL's triggers write the rows,
 * whatever changes an account; each process reads the new ones twice a second. Versions only rise, so it does not
 * matter in which order they arrive.
 */
export class Revocations {
  readonly #knex: Knex
  readonly #loop: Loop
  readonly #byUser = new Map<string, Revocation>()
  /** Every transaction before this one was over when the rows were last read. */
  #readUntil = '0'
  #tidyAtMs = 0

  constructor(knex: Knex, log: Logger) {
    this.#knex = knex
    this.#loop = new Loop(() => this.#pass(), PAUSE_MS, log.child({ part: 'revocations' }))
  }

  /** Reads everything once, then goes on reading what is new. */
  async start(): Promise<void> {
    await this.#pass()
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  revokes(token: { sub: string; ver: number }): boolean {
    const revocation = this.#byUser.get(token.sub)
    return revocation !== undefined && token.ver < revocation.minVersion
  }

  /** Tells of an account that this process has just changed, so that it knows at once. */
  add(user: { id: string; token_version: number }): void {
    this.#learn(user.id, user.token_version, Date.now())
  }

  async #pass(): Promise<{ more: boolean }> {
    if (Date.now() >= this.#tidyAtMs) await this.#tidy()
    await this.#readNew()
    return { more: false }
  }

  /** A transaction may commit long after it has written: rows are told apart by transactions, not by their times. */
  async #readNew(): Promise<void> {
    const { rows } = await this.#knex.raw(
      `SELECT s.oldest_running::text, r.user_id, r.min_version, r.revoked_at
         FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest_running) s
         LEFT JOIN user_revocations r ON r.written_by >= ?::xid8`,
      [this.#readUntil],
    )
    for (const { user_id: userId, min_version: minVersion, revoked_at: revokedAt } of rows)
      if (userId !== null) this.#learn(userId, minVersion, revokedAt.getTime())
    this.#readUntil = rows[0].oldest_running
  }

  #learn(userId: string, minVersion: number, revokedAtMs: number): void {
    const known = this.#byUser.get(userId)
    if (known === undefined || known.minVersion < minVersion)
      this.#byUser.set(userId, { minVersion, revokedAtMs })
  }

  /** Forgets what no token can need any more, here and in the table. */
  async #tidy(): Promise<void> {
    await this.#knex.raw(`DELETE FROM user_revocations WHERE revoked_at < now() - make_interval(secs => ?)`, [
      KEEP_S,
    ])
    const oldest = Date.now() - KEEP_S * 1_000
    for (const [userId, { revokedAtMs }] of this.#byUser)
      if (revokedAtMs < oldest) this.#byUser.delete(userId)
    this.#tidyAtMs = Date.now() + TIDY_EVERY_MS
  }
}
