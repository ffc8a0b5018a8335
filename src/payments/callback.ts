import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { id } from '../contracts/values.ts'
import { retrying } from '../platform/postgres/transaction.ts'

/** What a provider tells about one of its transactions. */
export const callbackSchema = z.strictObject({
  txn_id: z.string().regex(/^[\w-]{1,100}$/),
  payment_id: id,
  kind: z.enum(['captured', 'failed']),
  amount: z.int().min(0),
  currency: z.string().length(3),
})
export type Callback = z.infer<typeof callbackSchema>

export type CallbackResult =
  | { kind: 'paid'; eventId: string | null; reservationId: string | null }
  | { kind: 'failed' }
  | { kind: 'refund_opened' }
  | { kind: 'seen_before' }
  | { kind: 'unknown_payment' }
  | { kind: 'amount_differs' }

/**
 * Applies a callback once by (provider, txn_id). Pay against close is decided by one conditional update of the
 * order's row; captured money that finds no pending order opens a refund, so it is never dropped.
 *
 * One statement, each part fed by the one before: payment, order (locked first, as everywhere), event (new or
 * not), then what follows from a new event. The update of the order sees the row as the lock left it.
 */
export async function applyCallback(
  knex: Knex,
  provider: string,
  callback: Callback,
): Promise<CallbackResult> {
  const { rows } = await retrying(() => knex.raw(APPLY_SQL, { provider, ...callback, refundId: uuidv7() }))
  const [seen] = rows
  if (seen === undefined) return { kind: 'unknown_payment' }
  if (!seen.amount_agrees) return { kind: 'amount_differs' }
  if (!seen.is_new) return { kind: 'seen_before' }
  if (callback.kind === 'failed') return { kind: 'failed' }
  if (!seen.is_paid) return { kind: 'refund_opened' }
  return { kind: 'paid', eventId: seen.event_id, reservationId: seen.reservation_id }
}

const APPLY_SQL = `
  WITH payment AS (
    SELECT id, order_id, amount = :amount AND currency = :currency AS amount_agrees
      FROM payments WHERE id = :payment_id AND provider = :provider
  ), target AS (
    SELECT o.id, o.status FROM orders o JOIN payment ON payment.order_id = o.id
     WHERE payment.amount_agrees
       FOR UPDATE OF o
  ), event AS (
    INSERT INTO payment_events (provider, txn_id, payment_id, kind, amount, currency)
    SELECT :provider, :txn_id, :payment_id, :kind, :amount, :currency FROM target
        ON CONFLICT DO NOTHING
    RETURNING kind
  ), updated AS (
    UPDATE payments SET status = event.kind, updated_at = now() FROM event
     WHERE payments.id = :payment_id AND (payments.status = 'pending' OR event.kind = 'captured')
  ), paid AS (
    UPDATE orders o SET status = 'paid', paid_at = now() FROM target, event
     WHERE o.id = target.id AND o.status = 'pending' AND event.kind = 'captured'
    RETURNING o.event_id, o.reservation_id
  ), refund AS (
    INSERT INTO refunds (id, provider, txn_id, order_id, amount, currency, reason)
    SELECT :refundId, :provider, :txn_id, target.id, :amount, :currency,
           CASE target.status WHEN 'closed' THEN 'order_closed' ELSE 'already_paid' END
      FROM target, event WHERE event.kind = 'captured' AND NOT EXISTS (SELECT FROM paid)
  )
  SELECT payment.amount_agrees, event.kind IS NOT NULL AS is_new,
         (SELECT count(*) FROM paid) > 0 AS is_paid, paid.event_id, paid.reservation_id
    FROM payment LEFT JOIN event ON true LEFT JOIN paid ON true`
