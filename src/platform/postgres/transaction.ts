import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'

const ATTEMPTS = 4

/** Errors after which the same transaction may simply be run again: nothing of it was kept, or its ids make it safe. */
const TRANSIENT_STATES = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available
  '57014', // query_canceled, by our own time limit
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '53300', // too_many_connections
])
const TRANSIENT_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND'])

/** True when the failure lies with the server or the connection, not with the data. */
export function isTransient(error: unknown): boolean {
  const { code, name, message } = error as { code?: string; name?: string; message?: string }
  if (
    code !== undefined &&
    (TRANSIENT_STATES.has(code) || code.startsWith('08') || TRANSIENT_CODES.has(code))
  )
    return true
  // knex puts the statement in front of the driver's message.
  return (
    name === 'KnexTimeoutError' ||
    /(?:^| - )(Connection (terminated|ended)|Query read timeout)/.test(message ?? '')
  )
}

/** True when the values themselves were refused (data exception, integrity violation): trying again can't help. */
export function blamesValues(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && /^2[23][0-9A-Z]{3}$/.test(code)
}

/**
 * Runs a whole transaction again after a deadlock, a serialisation failure or a lost connection.
 * The caller's transaction must be idempotent by its ids, because a lost connection may hide a commit.
 */
export function retryingTransaction<T>(knex: Knex, work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
  return retrying(() => knex.transaction(work))
}

/** Runs one idempotent statement, which is a transaction by itself, under the same rules. */
export async function retrying<T>(work: () => PromiseLike<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= ATTEMPTS || !isTransient(error)) throw error
      await sleep(2 ** attempt * 10 * (0.5 + Math.random()))
    }
  }
}
