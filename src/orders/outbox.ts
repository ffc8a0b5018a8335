import type { Knex } from 'knex'

/** A fact that is true in PostgreSQL and not yet known to be in the broker. */
export interface OutboxRow {
  id: number
  topic: 'reservation.accepted' | 'order.created' | 'stock.released'
  key: string
  payload: unknown
}

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
      .select('id', 'topic', 'key', 'payload')
    if (rows.length === 0) return { read: 0, published: 0 }
    const published = await publish(rows)
    if (published.length > 0)
      await trx('outbox').whereIn('id', published).update({ published_at: trx.fn.now() })
    return { read: rows.length, published: published.length }
  })
}
