import type { Knex } from 'knex'
import type { ReleaseReason } from '../contracts/values.ts'
import type { OrderStatus } from './model.ts'

/** PostgreSQL's word on every reservation of an event, and what its claim came to. */
export interface ReservationClaim {
  rid: string
  userId: string
  quantity: number
  reservedAtMs: number
  /** `live`: the claim holds its units; `gone`: it was void, or its order was closed. */
  state: 'undecided' | 'live' | 'gone'
  /** Why it is gone. */
  reason: ReleaseReason | null
  orderId: string | null
  orderStatus: OrderStatus | null
  expiresAtMs: number | null
}

export async function claimsOfEvent(knex: Knex, eventId: string): Promise<ReservationClaim[]> {
  const { rows } = await knex.raw(
    `SELECT r.rid, r.user_id AS "userId", r.quantity, o.id AS "orderId", o.status AS "orderStatus",
            floor(extract(epoch FROM r.reserved_at) * 1000)::bigint AS "reservedAtMs",
            floor(extract(epoch FROM o.expires_at) * 1000)::bigint AS "expiresAtMs",
            CASE WHEN r.status = 'undecided' THEN 'undecided' WHEN s.live THEN 'live' ELSE 'gone' END AS state,
            CASE WHEN r.status = 'void' THEN r.void_reason
                 WHEN NOT s.live THEN coalesce(o.close_reason, 'lapsed') END AS reason
       FROM reservations r
       LEFT JOIN spike_orders s ON s.reservation_id = r.rid
       LEFT JOIN orders o ON o.id = s.order_id
      WHERE r.event_id = ?`,
    [eventId],
  )
  return rows
}
