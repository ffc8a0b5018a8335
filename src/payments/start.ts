import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { retrying } from '../platform/postgres/transaction.ts'
import type { Charge } from './provider.ts'

export type PaymentStart =
  | { kind: 'started'; payment: Omit<Charge, 'outcome'> }
  | { kind: 'not_found' }
  | { kind: 'not_pending'; status: string }

/**
 * Opens a payment of a buyer's own pending order, or finds the one that is open already: a second click pays
 * once. One statement, because many buyers pay at the same time; it share-locks the order's row, so the order
 * can't be closed in between.
 */
export async function startPayment(
  knex: Knex,
  input: { orderId: string; userId: string; provider: string },
): Promise<PaymentStart> {
  const paymentId = uuidv7()
  const { rows } = await retrying(() =>
    knex.raw(
      `WITH target AS (
       SELECT id, amount, currency, (extract(epoch FROM expires_at - now()) * 1000)::bigint AS expires_in_ms,
              CASE WHEN status = 'pending' AND expires_at <= now() THEN 'closed' ELSE status END AS status
         FROM orders WHERE id = :orderId AND user_id = :userId
          FOR SHARE
     ), opened AS (
       INSERT INTO payments (id, order_id, provider, amount, currency)
       SELECT :paymentId, id, :provider, amount, currency FROM target WHERE status = 'pending'
           ON CONFLICT (order_id) WHERE status = 'pending' DO UPDATE SET updated_at = now()
       RETURNING id
     )
     SELECT target.*, opened.id AS payment_id FROM target LEFT JOIN opened ON true`,
      { ...input, paymentId },
    ),
  )
  const [order] = rows
  if (order === undefined) return { kind: 'not_found' }
  if (order.payment_id === null) return { kind: 'not_pending', status: order.status }
  const { payment_id, id: orderId, amount, currency, expires_in_ms: expiresInMs } = order
  return { kind: 'started', payment: { paymentId: payment_id, orderId, amount, currency, expiresInMs } }
}
