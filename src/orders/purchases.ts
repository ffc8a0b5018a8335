/** Purchases as people ask for them: found by what they have in hand, each with what PostgreSQL says of it. */
import type { Knex } from 'knex'
import type { VoidReason } from '../contracts/values.ts'
import type { CloseReason, OrderStatus } from './model.ts'
import type { ReservationRow } from './inbox.ts'

/**
 * A reservation with the order that came of it. A void one has no order, an ordinary order no reservation. An order
 * that late money has bought again is named by its first rid.
 */
export type PurchaseName = { rid: string; orderId: null } | { rid: string | null; orderId: string }

/** What PostgreSQL says of a purchase; fields of what it has not are null. */
export interface PurchaseRow {
  rid: string | null
  order_id: string | null
  event_id: string | null
  /** Names of what was bought. */
  products: string | null
  user_id: string
  email: string | null
  quantity: number
  verdict: ReservationRow['status'] | null
  void_reason: VoidReason | null
  request_id: string | null
  traceparent: string | null
  order_status: OrderStatus | null
  close_reason: CloseReason | null
  amount: number | null
  currency: string | null
  expires_at: Date | null
  /** When the units were reserved, or the order was made. */
  began_at: Date
}

/** Of what is named `r`. */
const NAME_SQL = `coalesce(o.reservation_id, r.rid) AS rid, s.order_id AS "orderId"`
const CLAIM_SQL = `
  LEFT JOIN spike_orders s ON s.reservation_id = r.rid
  LEFT JOIN orders o ON o.id = s.order_id`

async function rowsOf<Row>(knex: Knex, sql: string, values: Knex.ValueDict): Promise<Row[]> {
  return (await knex.raw(sql, values)).rows
}

export function purchasesOfOrder(knex: Knex, orderId: string): Promise<PurchaseName[]> {
  return rowsOf(knex, 'SELECT reservation_id AS rid, id AS "orderId" FROM orders WHERE id = :orderId', {
    orderId,
  })
}

export function purchasesOfRid(knex: Knex, rid: string): Promise<PurchaseName[]> {
  return rowsOf(knex, `SELECT ${NAME_SQL} FROM reservations r ${CLAIM_SQL} WHERE r.rid = :rid`, { rid })
}

/** By the hash index on request ids; only purchases of a sale keep theirs. */
export function purchasesOfRequest(knex: Knex, requestId: string, limit: number): Promise<PurchaseName[]> {
  return rowsOf(
    knex,
    `SELECT ${NAME_SQL} FROM reservations r ${CLAIM_SQL} WHERE r.request_id = :requestId LIMIT :limit`,
    { requestId, limit },
  )
}

/**
 * The newest purchases of an account. Its reservations are found event by event, by their index on event and buyer:
 * one on the buyer alone would cost every purchase a write, for a question that is seldom asked. OFFSET 0 keeps
 * PostgreSQL from reading the whole table instead. Reservations for events that do not exist are not found here.
 */
export function purchasesOfUser(knex: Knex, userId: string, limit: number): Promise<PurchaseName[]> {
  return rowsOf(
    knex,
    `WITH newest AS (
       SELECT found.rid, found.began_at
         FROM spike_events e
        CROSS JOIN LATERAL (SELECT rid, reserved_at AS began_at FROM reservations
                             WHERE event_id = e.id AND user_id = :userId OFFSET 0) found
        ORDER BY found.began_at DESC LIMIT :limit
     )
     SELECT rid, "orderId" FROM (
       SELECT ${NAME_SQL}, r.began_at FROM newest r ${CLAIM_SQL}
       UNION ALL
       (SELECT NULL, id, created_at FROM orders
         WHERE user_id = :userId AND event_id IS NULL ORDER BY created_at DESC LIMIT :limit)
     ) purchases
     ORDER BY began_at DESC LIMIT :limit`,
    { userId, limit },
  )
}

/** What is known of these purchases, the newest first. Names that are not there are left out. */
export function readPurchases(knex: Knex, names: readonly PurchaseName[]): Promise<PurchaseRow[]> {
  return rowsOf(
    knex,
    `SELECT r.rid, o.id AS order_id, coalesce(r.event_id, o.event_id) AS event_id,
            (SELECT string_agg(name, ', ' ORDER BY name) FROM products
              WHERE id = e.product_id OR id IN (SELECT product_id FROM order_items WHERE order_id = o.id)) AS products,
            coalesce(r.user_id, o.user_id) AS user_id, u.email,
            coalesce(r.quantity, (SELECT sum(quantity) FROM order_items WHERE order_id = o.id))::int AS quantity,
            r.status AS verdict, r.void_reason, r.request_id, r.traceparent,
            o.status AS order_status, o.close_reason, o.amount, o.currency, o.expires_at,
            coalesce(r.reserved_at, o.created_at) AS began_at
       FROM unnest(:rids::uuid[], :orderIds::uuid[]) AS name (rid, order_id)
       LEFT JOIN reservations r ON r.rid = name.rid
       LEFT JOIN orders o ON o.id = name.order_id
       LEFT JOIN users u ON u.id = coalesce(r.user_id, o.user_id)
       LEFT JOIN spike_events e ON e.id = coalesce(r.event_id, o.event_id)
      WHERE coalesce(r.rid, o.id) IS NOT NULL
      ORDER BY began_at DESC`,
    {
      // The library's types know no arrays with nulls.
      rids: names.map(({ rid }) => rid) as string[],
      orderIds: names.map(({ orderId }) => orderId) as string[],
    },
  )
}

/** What there is to say of a reservation that only Redis knows. */
export async function readUnreceived(
  knex: Knex,
  held: { rid: string; eventId: string; userId: string; quantity: number; reservedAtMs: number },
): Promise<PurchaseRow[]> {
  return rowsOf(
    knex,
    `SELECT :rid AS rid, NULL AS order_id, :eventId AS event_id, :userId AS user_id, :quantity::int AS quantity,
            NULL AS verdict, NULL AS void_reason, NULL AS request_id, NULL AS traceparent, NULL AS order_status,
            NULL AS close_reason, NULL AS amount, NULL AS currency, NULL AS expires_at,
            to_timestamp(:reservedAtMs::float8 / 1000) AS began_at,
            (SELECT email FROM users WHERE id = :userId::uuid) AS email,
            (SELECT p.name FROM spike_events e JOIN products p ON p.id = e.product_id
              WHERE e.id = :eventId::uuid) AS products`,
    held,
  )
}

/** Every reservation of a purchase, the first one first: late money may have bought the units again. */
export async function ridsOfPurchase(knex: Knex, { rid, orderId }: PurchaseName): Promise<string[]> {
  if (orderId === null) return [rid]
  const claims: { rid: string }[] = await knex('spike_orders')
    .where('order_id', orderId)
    .orderBy('created_at')
    .select('reservation_id as rid')
  return claims.map((claim) => claim.rid)
}
