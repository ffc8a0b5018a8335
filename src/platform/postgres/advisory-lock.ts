/** Locks that are no row's: whoever has one does something alone, until the end of its transaction. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'

/** As long as for any other lock. */
const LOCKED_WITHIN_MS = 10_000
const ASK_AGAIN_MS = 50

/** Takes a lock until the end of the transaction, if nobody else has it. @returns whether it was got */
export async function tryAdvisoryLock(trx: Knex.Transaction, name: string): Promise<boolean> {
  const { rows } = await trx.raw('SELECT pg_try_advisory_xact_lock(hashtextextended(?, 0)) AS got', [name])
  return rows[0].got
}

/**
 * Does something while nobody else does what has this name, in the transaction that holds the lock. Whoever waits holds no
 * connection: whoever works may need more than one, and would wait for those who wait for it.
 * @returns `busy` when somebody else had the lock all the time
 */
export async function underAdvisoryLock<T>(
  knex: Knex,
  name: string,
  work: (lock: Knex.Transaction) => Promise<T>,
): Promise<T | 'busy'> {
  for (const end = performance.now() + LOCKED_WITHIN_MS; ; await sleep(ASK_AGAIN_MS)) {
    const turn = await knex.transaction(
      async (lock) => (await tryAdvisoryLock(lock, name)) && { result: await work(lock) },
    )
    if (turn) return turn.result
    if (performance.now() > end) return 'busy'
  }
}
