import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { id } from '../contracts/values.ts'
import { retryingTransaction } from '../platform/postgres/transaction.ts'

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
 * Lock order: order, payment.
 */
export function applyCallback(knex: Knex, provider: string, callback: Callback): Promise<CallbackResult> {
  return retryingTransaction(knex, async (trx): Promise<CallbackResult> => {
    const payment = await trx('payments')
      .where({ id: callback.payment_id, provider })
      .first('id', 'order_id', 'amount', 'currency')
    if (payment === undefined) return { kind: 'unknown_payment' }
    const order = await trx('orders').where({ id: payment.order_id }).forUpdate().first('id', 'status')
    if (payment.amount !== callback.amount || payment.currency !== callback.currency)
      return { kind: 'amount_differs' }
    const isNew = await trx('payment_events')
      .insert({ provider, ...callback })
      .onConflict()
      .ignore()
      .returning('txn_id')
    if (isNew.length === 0) return { kind: 'seen_before' }
    await trx('payments')
      .where({ id: payment.id })
      .update({ status: callback.kind, updated_at: trx.fn.now() })
    return callback.kind === 'failed' ? { kind: 'failed' } : capture(trx, provider, callback, order)
  })
}

async function capture(
  trx: Knex.Transaction,
  provider: string,
  callback: Callback,
  order: { id: string; status: string },
): Promise<CallbackResult> {
  const [paid] = await trx('orders')
    .where({ id: order.id, status: 'pending', amount: callback.amount })
    .update({ status: 'paid', paid_at: trx.fn.now() })
    .returning(['event_id', 'reservation_id'])
  if (paid !== undefined) return { kind: 'paid', eventId: paid.event_id, reservationId: paid.reservation_id }
  await trx('refunds').insert({
    id: uuidv7(),
    provider,
    txn_id: callback.txn_id,
    order_id: order.id,
    amount: callback.amount,
    currency: callback.currency,
    reason: order.status === 'closed' ? 'order_closed' : 'already_paid',
  })
  return { kind: 'refund_opened' }
}
