import type { Knex } from 'knex'
import type { CloseReason, OrderStatus, ORDER_SORTS } from './model.ts'

/** An order with its items; amounts in minor units of `currency`. */
export interface Order {
  id: string
  kind: 'spike' | 'ordinary'
  event_id: string | null
  reservation_id: string | null
  status: OrderStatus
  close_reason: CloseReason | null
  amount: number
  currency: string
  items: { product_id: string; quantity: number; unit_price: number }[]
  expires_at: Date
  paid_at: Date | null
  closed_at: Date | null
  created_at: Date
}

/** With the money that was taken and given back; times are ISO 8601, as PostgreSQL's JSON has them. */
export interface OrderDetail extends Order {
  payments: {
    id: string
    status: 'pending' | 'captured' | 'failed'
    amount: number
    currency: string
    created_at: string
  }[]
  refunds: {
    id: string
    amount: number
    currency: string
    reason: 'order_closed' | 'already_paid'
    status: 'open' | 'done'
    created_at: string
    done_at: string | null
  }[]
}

const ORDER_SQL = `
  o.id, CASE WHEN o.event_id IS NULL THEN 'ordinary' ELSE 'spike' END AS kind, o.event_id, o.reservation_id,
  o.status, o.close_reason, o.amount, o.currency, o.expires_at, o.paid_at, o.closed_at, o.created_at,
  (SELECT json_agg(json_build_object(
       'product_id', i.product_id, 'quantity', i.quantity, 'unit_price', i.unit_price) ORDER BY i.id)
     FROM order_items i WHERE i.order_id = o.id) AS items`

const MONEY_SQL = `
  coalesce((SELECT json_agg(json_build_object(
       'id', p.id, 'status', p.status, 'amount', p.amount, 'currency', p.currency, 'created_at', p.created_at)
       ORDER BY p.id)
     FROM payments p WHERE p.order_id = o.id), '[]') AS payments,
  coalesce((SELECT json_agg(json_build_object(
       'id', r.id, 'amount', r.amount, 'currency', r.currency, 'reason', r.reason, 'status', r.status,
       'created_at', r.created_at, 'done_at', r.done_at) ORDER BY r.id)
     FROM refunds r WHERE r.order_id = o.id), '[]') AS refunds`

/**
 * A buyer's own order in one round trip, because buyers ask for it while they wait for their payment.
 * @returns undefined for unknown orders and those of others
 */
export async function findOrder(knex: Knex, id: string, userId: string): Promise<OrderDetail | undefined> {
  const { rows } = await knex.raw(
    `SELECT ${ORDER_SQL}, ${MONEY_SQL} FROM orders o WHERE o.id = ? AND o.user_id = ?`,
    [id, userId],
  )
  return rows[0]
}

export interface OrderFilter {
  userId: string
  status?: OrderStatus | undefined
  eventId?: string | undefined
  page: number
  pageSize: number
  sort: (typeof ORDER_SORTS)[number]
  direction: 'asc' | 'desc'
}

/** One page of a buyer's own orders. */
export async function listOrders(
  knex: Knex,
  filter: OrderFilter,
): Promise<{ items: Order[]; total: number }> {
  const mine = knex('orders as o').where('o.user_id', filter.userId)
  if (filter.status !== undefined) void mine.where('o.status', filter.status)
  if (filter.eventId !== undefined) void mine.where('o.event_id', filter.eventId)
  const [counted] = await mine.clone().count({ total: '*' })
  const items: Order[] = await mine
    .select(knex.raw(ORDER_SQL))
    .orderBy([
      { column: `o.${filter.sort}`, order: filter.direction },
      { column: 'o.id', order: filter.direction },
    ])
    .limit(filter.pageSize)
    .offset((filter.page - 1) * filter.pageSize)
  return { items, total: Number(counted?.total ?? 0) }
}

/** What the API tells of an order. */
export function presentOrder(order: Order) {
  const { paid_at: paidAt, closed_at: closedAt } = order
  return {
    id: order.id,
    kind: order.kind,
    event_id: order.event_id,
    reservation_id: order.reservation_id,
    status: order.status,
    close_reason: order.close_reason,
    amount: order.amount,
    currency: order.currency,
    items: order.items,
    expires_at: order.expires_at.toISOString(),
    paid_at: paidAt === null ? null : paidAt.toISOString(),
    closed_at: closedAt === null ? null : closedAt.toISOString(),
    created_at: order.created_at.toISOString(),
  }
}

export function presentOrderDetail(order: OrderDetail) {
  return { ...presentOrder(order), payments: order.payments, refunds: order.refunds }
}
