import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import type { Charge } from './provider.ts'

export type PaymentStart =
  | { kind: 'started'; payment: Omit<Charge, 'outcome'> }
  | { kind: 'not_found' }
  | { kind: 'not_pending'; status: string }

/**
 * Opens a payment of a buyer's own pending order, or finds the one that is open already: a second click pays
 * once. The order's row is share-locked, so it can't be closed in between.
 */
export function startPayment(
  knex: Knex,
  input: { orderId: string; userId: string; provider: string },
): Promise<PaymentStart> {
  return knex.transaction(async (trx): Promise<PaymentStart> => {
    const order = await trx('orders')
      .where({ id: input.orderId, user_id: input.userId })
      .forShare()
      .first('status', 'amount', 'currency', trx.raw('expires_at <= now() AS overdue'))
    if (order === undefined) return { kind: 'not_found' }
    if (order.status !== 'pending') return { kind: 'not_pending', status: order.status }
    if (order.overdue) return { kind: 'not_pending', status: 'closed' }
    await trx('payments')
      .insert({
        id: uuidv7(),
        order_id: input.orderId,
        provider: input.provider,
        amount: order.amount,
        currency: order.currency,
      })
      .onConflict(trx.raw(`(order_id) WHERE status = 'pending'`))
      .ignore()
    const payment = await trx('payments').where({ order_id: input.orderId, status: 'pending' }).first('id')
    return {
      kind: 'started',
      payment: {
        paymentId: payment.id,
        orderId: input.orderId,
        amount: order.amount,
        currency: order.currency,
      },
    }
  })
}
