/** Which tokens have ended before their time; kept in memory, so that checking one costs no round trip. */
import type { Knex } from 'knex'
import { Loop } from '../platform/loop.ts'
import type { Logger } from '../platform/logger.ts'
import type { Claims } from './tokens.ts'

const PAUSE_MS = 500
/** Rows of transactions that were committed late are younger than this when they show up. */
const OVERLAP_S = 60

/**
 * The oldest good token version of every account whose tokens were revoked. PostgreSQL's triggers write the rows,
 * whatever changes an account; each process reads the new ones twice a second.
 */
export class Revocations {
  readonly #knex: Knex
  readonly #loop: Loop
  readonly #minVersions = new Map<string, number>()
  #readUntil: Date | undefined

  constructor(knex: Knex, log: Logger) {
    this.#knex = knex
    this.#loop = new Loop(
      async () => {
        await this.refresh()
        return { more: false }
      },
      PAUSE_MS,
      log.child({ part: 'revocations' }),
    )
  }

  /** Reads everything once, then goes on reading what is new. */
  async start(): Promise<void> {
    await this.refresh()
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  revokes(claims: Claims): boolean {
    const minVersion = this.#minVersions.get(claims.sub)
    return minVersion !== undefined && claims.ver < minVersion
  }

  /** Reads what was revoked since the last time. Call it after revoking something, to know it at once. */
  async refresh(): Promise<void> {
    const since = this.#readUntil
    const rows: { user_id: string; min_version: number; revoked_at: Date }[] = await this.#knex(
      'user_revocations',
    )
      .modify((query) => {
        if (since !== undefined)
          void query.whereRaw(`revoked_at > ?::timestamptz - ? * interval '1 second'`, [since, OVERLAP_S])
      })
      .select('user_id', 'min_version', 'revoked_at')
    for (const { user_id: userId, min_version: minVersion, revoked_at: revokedAt } of rows) {
      this.#minVersions.set(userId, minVersion)
      if (this.#readUntil === undefined || revokedAt > this.#readUntil) this.#readUntil = revokedAt
    }
  }
}
