/** Step 5: closing unpaid orders whose deadline has passed. */
import type { Knex } from 'knex'
import { retryingTransaction } from '../platform/postgres/transaction.ts'

export type Closing =
  | { kind: 'closed' }
  | { kind: 'not_due'; inMs: number }
  | { kind: 'not_pending'; status: string }
  | { kind: 'unknown' }

interface Lapsing {
  id: string
  reservation_id: string | null
  event_id: string | null
}

/**
 * Closes those of the orders that are pending and past their deadline by PostgreSQL's clock, frees the buyers'
 * claims, gives the units back to their events and leaves the releases in the outbox; one transaction.
 * Lock order: orders (by id), claims, events (by id).
 * @returns for each order what became of it, in the order given
 */
export async function closeLapsedOrders(knex: Knex, orderIds: readonly string[]): Promise<Closing[]> {
  const closed = await retryingTransaction(knex, async (trx) => {
    const due: Lapsing[] = await trx('orders')
      .whereIn('id', orderIds)
      .andWhere('status', 'pending')
      .andWhere('expires_at', '<=', trx.fn.now())
      .orderBy('id')
      .forUpdate()
      .select('id', 'reservation_id', 'event_id')
    await closeLocked(trx, due)
    return new Set(due.map((order) => order.id))
  })
  const others = await closingsOf(
    knex,
    orderIds.filter((id) => !closed.has(id)),
  )
  return orderIds.map((id) => (closed.has(id) ? { kind: 'closed' } : (others.get(id) ?? { kind: 'unknown' })))
}

/** Ids of pending orders past their deadline, the most overdue first. The scanner's view: PostgreSQL is the authority. */
export async function overdueOrders(knex: Knex, limit: number): Promise<string[]> {
  const rows: { id: string }[] = await knex('orders')
    .where('status', 'pending')
    .andWhere('expires_at', '<=', knex.fn.now())
    .orderBy('expires_at')
    .limit(limit)
    .select('id')
  return rows.map((row) => row.id)
}

/** The caller holds the locks of these pending orders. */
async function closeLocked(trx: Knex.Transaction, due: readonly Lapsing[]): Promise<void> {
  if (due.length === 0) return
  await trx('orders')
    .whereIn(
      'id',
      due.map((order) => order.id),
    )
    .update({ status: 'closed', close_reason: 'lapsed', closed_at: trx.fn.now() })
  const { rows } = await trx.raw(
    `WITH freed AS (
       UPDATE spike_orders SET live = false WHERE reservation_id = ANY(?::uuid[]) AND live
       RETURNING reservation_id, event_id, user_id, quantity
     ), told AS (
       INSERT INTO outbox (topic, key, payload)
       SELECT 'stock.released', reservation_id, jsonb_build_object(
                'rid', reservation_id, 'event_id', event_id, 'user_id', user_id,
                'quantity', quantity, 'reason', 'lapsed')
         FROM freed
     )
     SELECT event_id, sum(quantity)::int AS units FROM freed GROUP BY event_id ORDER BY event_id`,
    [due.flatMap((order) => order.reservation_id ?? [])],
  )
  for (const { event_id: eventId, units } of rows as { event_id: string; units: number }[])
    await trx('spike_events')
      .where('id', eventId)
      .update({ available: trx.raw('available + ?', [units]) })
}

async function closingsOf(knex: Knex, ids: readonly string[]): Promise<Map<string, Closing>> {
  if (ids.length === 0) return new Map()
  const rows: { id: string; status: string; in_ms: number }[] = await knex('orders')
    .whereIn('id', ids)
    .select('id', 'status', knex.raw('(extract(epoch FROM expires_at - now()) * 1000)::bigint AS in_ms'))
  return new Map(
    rows.map((row) => [
      row.id,
      row.status === 'pending'
        ? { kind: 'not_due', inMs: Math.max(0, row.in_ms) }
        : { kind: 'not_pending', status: row.status },
    ]),
  )
}
