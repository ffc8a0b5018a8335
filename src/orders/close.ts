/** Step 5: closing unpaid orders, at their deadline or because the buyer wants it. */
import type { Knex } from 'knex'
import { failpoint } from '../platform/failpoints.ts'
import { retryingTransaction } from '../platform/postgres/transaction.ts'
import { moveInventory } from '../products/inventory.ts'
import type { CloseReason } from './model.ts'
import { moveUnits } from './units.ts'

export type Closing =
  | { kind: 'closed' }
  | { kind: 'not_due'; inMs: number }
  | { kind: 'not_pending'; status: string }
  | { kind: 'unknown' }

interface Closable {
  id: string
  event_id: string | null
}

/**
 * Closes those of the orders that are pending and past their deadline by PostgreSQL's clock, frees the buyers'
 * claims, gives the units back to their events or to the inventory and leaves the releases in the outbox; one
 * transaction. Lock order: orders (by id), claims, events (by id), inventory (by product id).
 * @returns for each order what became of it, in the order given
 */
export async function closeLapsedOrders(knex: Knex, orderIds: readonly string[]): Promise<Closing[]> {
  const closed = await retryingTransaction(knex, async (trx) => {
    const due: Closable[] = await trx('orders')
      .whereIn('id', orderIds)
      .andWhere('status', 'pending')
      .andWhere('expires_at', '<=', trx.fn.now())
      .orderBy('id')
      .forUpdate()
      .select('id', 'event_id')
    await closeLocked(trx, due, 'lapsed')
    if (due.length > 0) await failpoint('close-order.in-transaction')
    return new Set(due.map((order) => order.id))
  })
  const others = await closingsOf(
    knex,
    orderIds.filter((id) => !closed.has(id)),
  )
  return orderIds.map((id) => (closed.has(id) ? { kind: 'closed' } : (others.get(id) ?? { kind: 'unknown' })))
}

export type Cancellation =
  { kind: 'cancelled' } | { kind: 'not_found' } | { kind: 'not_pending'; status: string }

/** Closes a buyer's own unpaid order now; again changes nothing. One whose deadline has passed counts as closed already: it has lapsed. */
export function cancelOrder(knex: Knex, id: string, userId: string): Promise<Cancellation> {
  return retryingTransaction(knex, async (trx): Promise<Cancellation> => {
    const [order] = await trx('orders')
      .where({ id, user_id: userId })
      .forUpdate()
      .select('id', 'event_id', 'status', 'close_reason', trx.raw('expires_at <= now() AS lapsed'))
    if (order === undefined) return { kind: 'not_found' }
    if (order.close_reason === 'cancelled') return { kind: 'cancelled' }
    if (order.status !== 'pending') return { kind: 'not_pending', status: order.status }
    if (order.lapsed) return { kind: 'not_pending', status: 'closed' }
    await closeLocked(trx, [order], 'cancelled')
    return { kind: 'cancelled' }
  })
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
async function closeLocked(
  trx: Knex.Transaction,
  orders: readonly Closable[],
  reason: CloseReason,
): Promise<void> {
  if (orders.length === 0) return
  const ids = (some: readonly Closable[]) => some.map((order) => order.id)
  await trx('orders')
    .whereIn('id', ids(orders))
    .update({ status: 'closed', close_reason: reason, closed_at: trx.fn.now() })
  await freeClaims(trx, ids(orders.filter((order) => order.event_id !== null)), reason)
  await restock(trx, ids(orders.filter((order) => order.event_id === null)), reason)
}

/** Orders of sales: the claims end, the events get their units back, Redis hears of it by the outbox. */
async function freeClaims(trx: Knex.Transaction, orderIds: string[], reason: CloseReason): Promise<void> {
  if (orderIds.length === 0) return
  const { rows } = await trx.raw(
    `WITH freed AS (
       UPDATE spike_orders SET live = false WHERE order_id = ANY(:orderIds::uuid[]) AND live
       RETURNING reservation_id, event_id, user_id, quantity
     ), told AS (
       INSERT INTO outbox (topic, key, payload)
       SELECT 'stock.released', reservation_id, jsonb_build_object(
                'rid', reservation_id, 'event_id', event_id, 'user_id', user_id,
                'quantity', quantity, 'reason', :reason::text)
         FROM freed
     )
     SELECT event_id, sum(quantity)::int AS units FROM freed GROUP BY event_id`,
    { orderIds, reason },
  )
  const freed = rows as { event_id: string; units: number }[]
  const units = new Map(freed.map((row) => [row.event_id, row.units]))
  if (!(await moveUnits(trx, units))) throw new Error('a sale did not take its units back')
}

/** Ordinary orders: the inventory gets the units back, with a ledger row for each. */
async function restock(trx: Knex.Transaction, orderIds: string[], reason: CloseReason): Promise<void> {
  if (orderIds.length === 0) return
  const items: { order_id: string; product_id: string; quantity: number }[] = await trx('order_items')
    .whereIn('order_id', orderIds)
    .orderBy('product_id')
    .select('order_id', 'product_id', 'quantity')
  for (const { order_id: reference, product_id: productId, quantity } of items)
    if (!(await moveInventory(trx, { productId, delta: quantity, reason: `order ${reason}`, reference })))
      throw new Error(`product ${productId} did not take its units back`)
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
