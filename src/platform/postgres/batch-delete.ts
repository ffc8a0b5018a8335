/** Deleting what has had its time: in batches, so that nobody waits for it and it waits for nobody. */
import type { Knex } from 'knex'
import { tryAdvisoryLock } from './advisory-lock.ts'

/** Rows of one transaction: some milliseconds of work, whatever has gathered before. */
export const BATCH_ROWS = 1_000

/** Text of the product itself, never of a request. */
export interface DueRows {
  table: string
  /** Which rows have had their time, by PostgreSQL's clock. */
  where: string
  /** Column of the index that finds them. */
  by: string
}

/**
 * Deletes the first of the rows that are due, in a transaction of its own; one process at a time. Rows that somebody
 * else has locked are left for the next batch. The rows are looked up before any of them is deleted: within a join, the
 * limit could be asked for more than once.
 * @returns how many rows are gone; 0 also while another process is at it
 */
export function deleteBatch(knex: Knex, { table, where, by }: DueRows): Promise<number> {
  return knex.transaction(async (trx) => {
    if (!(await tryAdvisoryLock(trx, `retention:${table}`))) return 0
    const { rowCount } = await trx.raw(
      `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(
         SELECT ctid FROM ${table} WHERE ${where} ORDER BY ${by} LIMIT ${BATCH_ROWS} FOR UPDATE SKIP LOCKED))`,
    )
    return rowCount
  })
}
