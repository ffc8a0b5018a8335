/** Money that was captured and may not be kept: opened here, executed by the provider, done when it says so. */
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { retrying } from '../platform/postgres/transaction.ts'
import type { PaymentCallback, RefundCallback } from './callback.ts'
import type { Refund } from './provider.ts'

/** Opens the refund of one capture, in the transaction that writes the capture. */
export async function openRefund(
  trx: Knex.Transaction,
  provider: string,
  capture: PaymentCallback,
  orderId: string,
  reason: 'order_closed' | 'already_paid',
): Promise<void> {
  const { txn_id, amount, currency } = capture
  await trx('refunds').insert({ id: uuidv7(), provider, txn_id, order_id: orderId, amount, currency, reason })
}

/** A refund that was asked for and not answered for so long is asked for again; the provider takes it by its id. */
const ASK_AGAIN_S = 30

/**
 * The oldest open refunds that are due to be asked for, marked as asked. A crash after it costs `ASK_AGAIN_S`.
 */
export async function takeOpenRefunds(knex: Knex, provider: string, limit: number): Promise<Refund[]> {
  const { rows } = await knex.raw(
    `UPDATE refunds r SET requested_at = now()
       FROM payment_events e
      WHERE e.provider = r.provider AND e.txn_id = r.txn_id
        AND r.id IN (SELECT id FROM refunds
                      WHERE status = 'open' AND provider = :provider
                        AND (requested_at IS NULL OR requested_at < now() - :again * interval '1 second')
                      ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
     RETURNING r.id AS "refundId", e.payment_id AS "paymentId", r.txn_id AS "txnId", r.amount, r.currency`,
    { provider, again: ASK_AGAIN_S, limit },
  )
  return rows
}

export type RefundResult = { kind: 'refund_done' | 'seen_before' | 'unknown_payment' | 'amount_differs' }

/** Notes that the provider has given the money back, once by its transaction id. One statement. */
export async function applyRefund(
  knex: Knex,
  provider: string,
  callback: RefundCallback,
): Promise<RefundResult> {
  const { rows } = await retrying(() => knex.raw(REFUND_SQL, { provider, ...callback }))
  const [seen] = rows
  if (seen === undefined) return { kind: 'unknown_payment' }
  if (!seen.amount_agrees) return { kind: 'amount_differs' }
  return { kind: seen.is_done ? 'refund_done' : 'seen_before' }
}

const REFUND_SQL = `
  WITH refund AS (
    SELECT r.id, r.status, r.amount = :amount AND r.currency = :currency AS amount_agrees
      FROM refunds r JOIN payment_events e ON e.provider = r.provider AND e.txn_id = r.txn_id
     WHERE r.id = :refund_id AND r.provider = :provider AND e.payment_id = :payment_id
       FOR UPDATE OF r
  ), event AS (
    INSERT INTO payment_events (provider, txn_id, payment_id, kind, amount, currency)
    SELECT :provider, :txn_id, :payment_id, :kind, :amount, :currency FROM refund
     WHERE amount_agrees AND status = 'open'
        ON CONFLICT DO NOTHING
    RETURNING txn_id
  ), done AS (
    UPDATE refunds SET status = 'done', done_at = now() FROM event
     WHERE refunds.id = :refund_id AND refunds.status = 'open'
    RETURNING refunds.id
  )
  SELECT refund.amount_agrees, done.id IS NOT NULL AS is_done FROM refund LEFT JOIN done ON true`
