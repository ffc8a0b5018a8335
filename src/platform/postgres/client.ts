import knexModule, { type Knex } from 'knex'
import { TypeOverrides, types } from 'pg'
import type { Logger } from '../logger.ts'
import { firstContact } from '../service-error.ts'

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
      statement_timeout: 15_000,
      lock_timeout: 10_000,
      idle_in_transaction_session_timeout: 30_000,
    } as Knex.PgConnectionConfig, // knex's type lacks lock_timeout, which pg takes
    pool: { min: 0, max: options.poolMax, idleTimeoutMillis: 30_000 },
    acquireConnectionTimeout: 5_000,
  })
  // A connection that the server closes while it lies in the pool is replaced on the next use.
  knex.client.pool.on('poolDestroyFail', (_id: number, _resource: unknown, error: Error) =>
    log.warn({ err: error }, 'postgres connection did not close cleanly'),
  )
  return knex
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
 * Checks that PostgreSQL answers and that the schema is there.
 * @throws ServiceError
 */
export async function contactPostgres(knex: Knex, url: string): Promise<void> {
  await firstContact({ name: 'PostgreSQL', setting: 'DATABASE_URL', url }, async () => {
    const { rows } = await knex.raw(`SELECT to_regclass('spike_events') AS table`)
    if (rows[0].table === null)
      throw new Error('the tables are missing: run `npm run migrate`, then `npm run seed`')
  })
}
