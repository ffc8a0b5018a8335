import type { Knex } from 'knex'
import type { Settlement } from '../../pay.ts'
import type { Callback } from '../../payments/callback.ts'
import type { PaymentProvider } from '../../payments/provider.ts'
import { startPayment } from '../../payments/start.ts'
import type { paymentRoutes } from '../contract/orders.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

export function paymentHandlers(deps: {
  knex: Knex
  provider: PaymentProvider
  /** Whether a request may choose what the simulated provider answers. */
  outcomeByRequest: boolean
  settlePayment: (provider: string, callback: Callback) => Promise<Settlement>
}): HandlersOf<typeof paymentRoutes> {
  const { knex, provider } = deps
  return {
    startPayment: async ({ params, body, claims }) => {
      if (body.outcome !== undefined && !deps.outcomeByRequest)
        return refuse('VALIDATION_FAILED', {
          data: { fields: [{ field: 'outcome', problem: 'is not taken in prod' }] },
        })
      const start = await startPayment(knex, {
        orderId: params.id,
        userId: claims.sub,
        provider: provider.name,
      })
      if (start.kind === 'not_found') return refuse('NOT_FOUND')
      if (start.kind === 'not_pending') return refuse('ORDER_NOT_PENDING', { data: { status: start.status } })
      provider.charge({ ...start.payment, outcome: body.outcome ?? 'success' })
      return {
        status: 202,
        data: { payment_id: start.payment.paymentId, status: 'pending' },
        headers: { Location: `/api/v1/orders/${params.id}` },
      }
    },
    paymentCallback: async ({ body }) => {
      const result = await deps.settlePayment(provider.name, body)
      if (result === 'unknown_payment') return refuse('NOT_FOUND')
      if (result === 'amount_differs') return refuse('PAYMENT_MISMATCH')
      return { status: 200, data: { result } }
    },
  }
}
