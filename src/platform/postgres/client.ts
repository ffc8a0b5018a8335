import knexModule, { type Knex } from 'knex'
import { TypeOverrides, types } from 'pg'
import type { Logger } from '../logger.ts'
import { firstContact } from '../service-error.ts'
import { missingLimits, SESSION_LIMITS } from './session-limits.ts'

export interface PostgresOptions {
  url: string
  /** Name shown in pg_stat_activity. */
  applicationName: string
  poolMax: number
}

/**
 * A knex instance with a time limit on everything that can wait: a free connection, a statement, a lock,
 * an idle transaction. Opens no connection until it is used.
 */
export function createPostgres(options: PostgresOptions, log: Logger): Knex {
  const knex = knexModule({
    client: 'pg',
    connection: {
      connectionString: options.url,
      application_name: options.applicationName,
      types: int8AsNumber(),
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      ...SESSION_LIMITS,
      query_timeout: 20_000, // for a network that is gone, where the server's limits do not reach us
    } as Knex.PgConnectionConfig, // knex's type lacks lock_timeout, which pg takes
    pool: { min: 0, max: options.poolMax, idleTimeoutMillis: 30_000, validate: hasAnswered },
    acquireConnectionTimeout: 5_000,
    compileSqlOnError: false, // messages of errors are logged, and values are e-mails and hashes
    log: knexLog(log),
  })
  // A connection that the server closes while it lies in the pool is replaced on the next use.
  knex.client.pool.on('poolDestroyFail', (_id: number, _resource: unknown, error: Error) =>
    log.warn({ err: error }, 'postgres connection did not close cleanly'),
  )
  return knex
}

/**
 * A connection that still owes an answer when it comes from the pool has let a query run into its time limit: the
 * network behind it is gone, and it would keep the next query waiting for as long.
 */
function hasAnswered(connection: { readyForQuery: boolean }): boolean {
  return connection.readyForQuery
}

/** knex writes to the console by default; the errors it tells of reach the caller as well. */
function knexLog(log: Logger): Knex.Logger {
  const line = (message: unknown) => log.warn({ from: 'knex' }, String(message))
  return {
    warn: line,
    error: line,
    deprecate: line,
    debug: (message) => log.debug({ from: 'knex' }, String(message)),
  }
}

/** Money is integer minor units far below 2^53, and counts come back as int8: numbers, not strings. */
function int8AsNumber(): TypeOverrides {
  const overrides = new TypeOverrides()
  overrides.setTypeParser(types.builtins.INT8, (text: string) => {
    const value = Number(text)
    if (!Number.isSafeInteger(value)) throw new RangeError(`int8 ${text} does not fit a number`)
    return value
  })
  return overrides
}

/**
 * Checks that PostgreSQL answers, that the schema is there, and that the time limits hold: a pooler may keep them from it.
 * @throws ServiceError
 */
export async function contactPostgres(knex: Knex, url: string): Promise<void> {
  await firstContact({ name: 'PostgreSQL', setting: 'DATABASE_URL', url }, async () => {
    const { rows } = await knex.raw(`SELECT to_regclass('spike_events') AS table`)
    if (rows[0].table === null)
      throw new Error('the tables are missing: run `npm run migrate`, then `npm run seed`')
    const missing = await missingLimits(knex)
    if (missing !== undefined)
      throw new Error(`${missing}; the pooler in front of it has to set what docs/clusters.md says`)
  })
}
