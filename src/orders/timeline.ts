import type { Knex } from 'knex'

/** What the rows of a buyer's order tell of, in the order of the flow. */
type OrderWord =
  | 'reserved'
  | 'received'
  | 'decided'
  | 'ordered'
  | 'payment_started'
  | 'payment_captured'
  | 'payment_failed'
  | 'payment_refunded'
  | 'closed'
  | 'paid'
  | 'refund_opened'
  | 'refund_done'

/** What staff read of a purchase; `told` and `published`: a message was left in the outbox, and the broker has it. */
export type PurchaseWord = OrderWord | 'told' | 'published'

/**
 * A message tells of many orders and is named by the first of them. Ids are in the order of time, so it is among the last
 * that are not after the order; between them there are those of other processes in the same millisecond.
 */
const NEAR = 20

/** One thing that happened to an order. */
export interface TimelineEntry<Word extends string = OrderWord> {
  at: Date
  what: Word
  detail: Record<string, string | number | null>
}

/**
 * All that happened to a buyer's own order, the oldest first, read from the rows that the steps have left.
 * @returns undefined for unknown orders and those of others
 */
export async function orderTimeline(
  knex: Knex,
  orderId: string,
  userId: string,
): Promise<TimelineEntry[] | undefined> {
  const { rows } = await knex.raw(
    `WITH mine AS (
       SELECT * FROM orders WHERE id = :orderId AND user_id = :userId
     ), claims AS (
       SELECT r.* FROM mine JOIN spike_orders s ON s.order_id = mine.id JOIN reservations r ON r.rid = s.reservation_id
     )
     SELECT at, what, detail FROM (${ENTRIES_SQL}) entries ORDER BY at, step`,
    { orderId, userId },
  )
  return rows.length === 0 ? undefined : rows
}

/** The same of any purchase, for staff, with the messages that it has left in the outbox. */
export async function purchaseTimeline(
  knex: Knex,
  { orderId, rids }: { orderId: string | null; rids: readonly string[] },
): Promise<TimelineEntry<PurchaseWord>[]> {
  const { rows } = await knex.raw(
    `WITH mine AS (
       SELECT * FROM orders WHERE id = :orderId
     ), claims AS (
       SELECT * FROM reservations WHERE rid = ANY(:rids::uuid[])
     ), messages AS (
       SELECT * FROM outbox WHERE topic IN ('reservation.accepted', 'stock.released') AND key = ANY(:rids::uuid[])
       UNION ALL
       SELECT * FROM (
         SELECT * FROM outbox WHERE topic = 'order.created' AND key <= :orderId ORDER BY key DESC LIMIT ${NEAR}
       ) near WHERE key = :orderId OR payload->'others' @> to_jsonb(:orderId::text)
     )
     SELECT at, what, detail FROM (${ENTRIES_SQL}
       UNION ALL
       SELECT created_at, CASE topic WHEN 'stock.released' THEN 11 ELSE 5 END, 'told',
              jsonb_build_object('message', topic, 'id', key) FROM messages
       UNION ALL
       SELECT published_at, 12, 'published', jsonb_build_object('message', topic, 'id', key) FROM messages
        WHERE published_at IS NOT NULL
     ) entries ORDER BY at, step`,
    { orderId, rids },
  )
  return rows
}

/** Of the order `mine` and the reservations `claims`. The second column keeps things of one moment in the order of the flow. */
const ENTRIES_SQL = `
    SELECT reserved_at AS at, 1 AS step, 'reserved' AS what,
           jsonb_build_object('reservation_id', rid, 'quantity', quantity) AS detail FROM claims
    UNION ALL
    SELECT received_at, 2, 'received', jsonb_build_object('reservation_id', rid) FROM claims
    UNION ALL
    SELECT decided_at, 3, 'decided', jsonb_strip_nulls(
             jsonb_build_object('reservation_id', rid, 'verdict', status, 'reason', void_reason))
      FROM claims WHERE decided_at IS NOT NULL
    UNION ALL
    SELECT created_at, 4, 'ordered', jsonb_build_object('amount', amount, 'currency', currency) FROM mine
    UNION ALL
    SELECT p.created_at, 5, 'payment_started', jsonb_build_object('payment_id', p.id, 'amount', p.amount)
      FROM mine JOIN payments p ON p.order_id = mine.id
    UNION ALL
    SELECT e.received_at, 6, 'payment_' || e.kind,
           jsonb_build_object('payment_id', p.id, 'transaction_id', e.txn_id, 'amount', e.amount)
      FROM mine JOIN payments p ON p.order_id = mine.id JOIN payment_events e ON e.payment_id = p.id
    UNION ALL
    SELECT closed_at, 7, 'closed', jsonb_build_object('reason', coalesce(close_reason, 'lapsed')) FROM mine
     WHERE closed_at IS NOT NULL
    UNION ALL
    SELECT paid_at, 8, 'paid', '{}' FROM mine WHERE paid_at IS NOT NULL
    UNION ALL
    SELECT r.created_at, 9, 'refund_opened', jsonb_build_object('refund_id', r.id, 'reason', r.reason, 'amount', r.amount)
      FROM mine JOIN refunds r ON r.order_id = mine.id
    UNION ALL
    SELECT r.done_at, 10, 'refund_done', jsonb_build_object('refund_id', r.id, 'amount', r.amount)
      FROM mine JOIN refunds r ON r.order_id = mine.id WHERE r.done_at IS NOT NULL`
