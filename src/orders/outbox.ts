import type { Knex } from 'knex'
import { BATCH_ROWS, deleteBatch } from '../platform/postgres/batch-delete.ts'
import { isTracing } from '../platform/telemetry/trace.ts'

/** A fact that is true in PostgreSQL and not yet known to be in the broker. */
export interface OutboxRow {
  id: number
  topic: 'reservation.accepted' | 'order.created' | 'stock.released'
  key: string
  payload: unknown
  /** Of the reservation that it is about, while tracing is on and when it has one. */
  traceparent?: string | null
}

/** A row is about a reservation, or about the order that came of one. */
const TRACEPARENT = `(
  SELECT traceparent FROM reservations
   WHERE rid = coalesce((SELECT reservation_id FROM orders WHERE id = outbox.key), outbox.key)
) AS traceparent`

/**
 * Hands the oldest unpublished rows to `publish` and marks those that it returns.
 * The rows stay locked meanwhile (SKIP LOCKED lets other relays take other rows). A crash between publish and
 * mark publishes a row again, which every consumer takes by its id.
 * @returns how many rows were read and how many of them were published
 */
export function drainOutbox(
  knex: Knex,
  limit: number,
  publish: (rows: readonly OutboxRow[]) => Promise<readonly number[]>,
): Promise<{ read: number; published: number }> {
  return knex.transaction(async (trx) => {
    const rows: OutboxRow[] = await trx('outbox')
      .whereNull('published_at')
      .orderBy('id')
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .select('id', 'topic', 'key', 'payload', ...(isTracing() ? [trx.raw(TRACEPARENT)] : []))
    if (rows.length === 0) return { read: 0, published: 0 }
    const published = await publish(rows)
    if (published.length > 0)
      await trx('outbox').whereIn('id', published).update({ published_at: trx.fn.now() })
    return { read: rows.length, published: published.length }
  })
}

/**
 * Deletes a batch of the rows that the broker has had for so many days: nobody reads them any more but people who look a
 * purchase up. Ids are given in the order of time, so that the front of the primary key is where the oldest are; an index
 * on their times would cost every order a write. Rows that wait for the broker stay, however old; a whole batch of them in
 * front holds up those behind until the broker has it.
 * @returns how many are gone
 */
export function forgetPublished(knex: Knex, days: number): Promise<number> {
  return deleteBatch(knex, {
    table: 'outbox',
    where: `id = ANY(ARRAY(SELECT id FROM outbox ORDER BY id LIMIT ${BATCH_ROWS}))
            AND published_at < now() - make_interval(days => ${days})`,
    by: 'id',
  })
}
