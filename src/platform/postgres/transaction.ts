import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'

const ATTEMPTS = 4
/** No attempt begins later than this: waiting for a time limit again and again would hang whoever asked. */
const RETRY_WITHIN_MS = 5_000

/**
 * Errors that say nothing about the data: the same transaction may simply be run again. Nothing of it was kept, or its
 * ids make it safe.
 */
const TRANSIENT_STATES = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available
  '25P03', // idle_in_transaction_session_timeout, after this process stood still
  '25006', // read_only_sql_transaction: a server that is being taken over
])
const TRANSIENT_CLASSES = new Set([
  '08', // connection exception
  '53', // insufficient resources: connections, memory, disk
  '57', // operator intervention: our own time limits, a shutdown, a crash
  '58', // system error
])
const TRANSIENT_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND'])

/** True when the failure lies with the server or the connection, not with the data. */
export function isTransient(error: unknown): boolean {
  const { code, name, message } = error as { code?: string; name?: string; message?: string }
  if (code !== undefined && (isTransientState(code) || TRANSIENT_CODES.has(code))) return true
  // knex puts the statement in front of the driver's message.
  return (
    name === 'KnexTimeoutError' ||
    /(?:^| - )(Connection (terminated|ended)|Query read timeout|timeout expired|Client .* is not queryable)/.test(
      message ?? '',
    )
  )
}

function isTransientState(code: string): boolean {
  return code.length === 5 && (TRANSIENT_STATES.has(code) || TRANSIENT_CLASSES.has(code.slice(0, 2)))
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
  const began = performance.now()
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const isLast = attempt >= ATTEMPTS || performance.now() - began > RETRY_WITHIN_MS
      if (isLast || !isTransient(error)) throw error
      await sleep(2 ** attempt * 10 * (0.5 + Math.random()))
    }
  }
}
