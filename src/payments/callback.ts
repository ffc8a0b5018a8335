import type { Knex } from 'knex'
import { z } from 'zod'
import { amount, id } from '../contracts/values.ts'
import { retrying } from '../platform/postgres/transaction.ts'

const transaction = {
  txn_id: z.string().regex(/^[\w-]{1,100}$/),
  payment_id: id,
  amount,
  currency: z.string().length(3),
}

/** What a provider tells about one of its transactions: money taken or not, or given back for one of our refunds. */
export const callbackSchema = z.discriminatedUnion('kind', [
  z.strictObject({ ...transaction, kind: z.enum(['captured', 'failed']) }),
  z.strictObject({ ...transaction, kind: z.literal('refunded'), refund_id: id }),
])
export type Callback = z.infer<typeof callbackSchema>
export type PaymentCallback = Extract<Callback, { kind: 'captured' | 'failed' }>
export type RefundCallback = Extract<Callback, { kind: 'refunded' }>

/** `amount_differs`: or the transaction is another payment's. `late`: money for an order that is not pending any more; nothing is written yet, see `recordLateCapture`. */
export type CallbackResult =
  | { kind: 'paid'; eventId: string | null; reservationId: string | null }
  | { kind: 'failed' | 'late' | 'seen_before' | 'unknown_payment' | 'amount_differs' }

/**
 * Applies a callback once by (provider, txn_id). Pay against close is decided by one conditional update of the
 * order's row.
 *
 * A provider may use one transaction id for several tries: `captured` after `failed` is news, anything after
 * `captured` is not.
 *
 * One statement, each part fed by the one before: payment, order (locked first, as everywhere), event (new or
 * not), then what follows from a new event. The update of the order sees the row as the lock left it.
 */
export async function applyCallback(
  knex: Knex,
  provider: string,
  callback: PaymentCallback,
): Promise<CallbackResult> {
  const { rows } = await retrying(() => knex.raw(APPLY_SQL, { provider, ...callback }))
  const [seen] = rows
  if (seen === undefined) return { kind: 'unknown_payment' }
  if (!seen.amount_agrees || seen.is_of_another) return { kind: 'amount_differs' }
  if (seen.is_new && callback.kind === 'failed') return { kind: 'failed' }
  if (seen.is_new) return { kind: 'paid', eventId: seen.event_id, reservationId: seen.reservation_id }
  return { kind: seen.is_late ? 'late' : 'seen_before' }
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
     WHERE target.status = 'pending' OR :kind = 'failed'
        ON CONFLICT (provider, txn_id) DO UPDATE SET kind = 'captured', received_at = now()
     WHERE payment_events.kind = 'failed' AND EXCLUDED.kind = 'captured'
       AND payment_events.payment_id = EXCLUDED.payment_id
    RETURNING kind
  ), updated AS (
    UPDATE payments SET status = event.kind, updated_at = now() FROM event
     WHERE payments.id = :payment_id AND (payments.status = 'pending' OR event.kind = 'captured')
  ), paid AS (
    UPDATE orders o SET status = 'paid', paid_at = now() FROM target, event
     WHERE o.id = target.id AND o.status = 'pending' AND event.kind = 'captured'
    RETURNING o.event_id, o.reservation_id
  )
  SELECT payment.amount_agrees, event.kind IS NOT NULL AS is_new, paid.event_id, paid.reservation_id,
         target.status <> 'pending' AND :kind = 'captured' AND NOT EXISTS (
           SELECT FROM payment_events e
            WHERE e.provider = :provider AND e.txn_id = :txn_id AND e.kind = 'captured') AS is_late,
         EXISTS (SELECT FROM payment_events e WHERE e.provider = :provider AND e.txn_id = :txn_id
                    AND e.payment_id <> :payment_id) AS is_of_another
    FROM payment LEFT JOIN target ON true LEFT JOIN event ON true LEFT JOIN paid ON true`

/** The order that late money belongs to, as its lock left it. */
export interface LateOrder {
  id: string
  user_id: string
  event_id: string | null
  status: string
  close_reason: string | null
}

/**
 * Locks the order of a captured payment and writes the event, once.
 * @returns undefined when the transaction was seen before
 */
export async function recordLateCapture(
  trx: Knex.Transaction,
  provider: string,
  callback: PaymentCallback,
): Promise<LateOrder | undefined> {
  const [order]: LateOrder[] = await trx('orders as o')
    .join('payments as p', 'p.order_id', 'o.id')
    .where('p.id', callback.payment_id)
    .forUpdate('o')
    .select('o.id', 'o.user_id', 'o.event_id', 'o.status', 'o.close_reason')
  if (order === undefined) throw new Error(`payment ${callback.payment_id} has lost its order`)
  const { txn_id, payment_id, kind, amount, currency } = callback
  const written = await trx('payment_events')
    .insert({ provider, txn_id, payment_id, kind, amount, currency })
    .onConflict(['provider', 'txn_id'])
    .merge({ kind, received_at: trx.fn.now() })
    .where('payment_events.kind', 'failed')
    .andWhere('payment_events.payment_id', payment_id)
    .returning('txn_id')
  if (written.length === 0) return undefined
  await trx('payments').where('id', payment_id).update({ status: 'captured', updated_at: trx.fn.now() })
  return order
}
