import type { Knex } from 'knex'
import { Model, type RelationMappings } from 'objection'

export class OrderItem extends Model {
  static override get tableName(): string {
    return 'order_items'
  }
  declare id: string
  declare order_id: string
  declare product_id: string
  declare quantity: number
  declare unit_price: number
}

/** Row of `orders`; `amount` in minor units of `currency`. */
export class Order extends Model {
  static override get tableName(): string {
    return 'orders'
  }
  static override get relationMappings(): RelationMappings {
    return {
      items: {
        relation: Model.HasManyRelation,
        modelClass: OrderItem,
        join: { from: 'orders.id', to: 'order_items.order_id' },
      },
    }
  }
  declare id: string
  declare user_id: string
  declare event_id: string | null
  declare reservation_id: string | null
  declare status: 'pending' | 'paid' | 'closed' | 'refunded'
  declare close_reason: 'lapsed' | 'cancelled' | null
  declare amount: number
  declare currency: string
  declare expires_at: Date
  declare paid_at: Date | null
  declare closed_at: Date | null
  declare created_at: Date
  declare items: OrderItem[]
}

/** A buyer's own order with its items; undefined for unknown orders and those of others. */
export async function findOrder(knex: Knex, id: string, userId: string): Promise<Order | undefined> {
  return await Order.query(knex).findOne({ id, user_id: userId }).withGraphFetched('items')
}

export function presentOrder(order: Order) {
  return {
    id: order.id,
    status: order.status,
    close_reason: order.close_reason,
    event_id: order.event_id,
    reservation_id: order.reservation_id,
    amount: order.amount,
    currency: order.currency,
    items: order.items.map(({ product_id, quantity, unit_price }) => ({ product_id, quantity, unit_price })),
    expires_at: order.expires_at,
    paid_at: order.paid_at,
    closed_at: order.closed_at,
    created_at: order.created_at,
  }
}
