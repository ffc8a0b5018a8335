import type { Knex } from 'knex'

/** An order with its items; amounts in minor units of `currency`. */
export interface Order {
  id: string
  event_id: string | null
  reservation_id: string | null
  status: 'pending' | 'paid' | 'closed' | 'refunded'
  close_reason: 'lapsed' | 'cancelled' | null
  amount: number
  currency: string
  items: { product_id: string; quantity: number; unit_price: number }[]
  expires_at: Date
  paid_at: Date | null
  closed_at: Date | null
  created_at: Date
}

/**
 * A buyer's own order in one round trip, because buyers ask for it while they wait for their payment.
 * @returns undefined for unknown orders and those of others
 */
export function findOrder(knex: Knex, id: string, userId: string): Promise<Order | undefined> {
  return knex('orders as o')
    .where({ 'o.id': id, 'o.user_id': userId })
    .first(
      'o.id',
      'o.event_id',
      'o.reservation_id',
      'o.status',
      'o.close_reason',
      'o.amount',
      'o.currency',
      knex.raw(
        `(SELECT json_agg(json_build_object(
             'product_id', i.product_id, 'quantity', i.quantity, 'unit_price', i.unit_price) ORDER BY i.id)
            FROM order_items i WHERE i.order_id = o.id) AS items`,
      ),
      'o.expires_at',
      'o.paid_at',
      'o.closed_at',
      'o.created_at',
    )
}
