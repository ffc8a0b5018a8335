import type Router from '@koa/router'
import type { Knex } from 'knex'
import { z } from 'zod'
import { id } from '../../contracts/values.ts'
import { findOrder } from '../../orders/read.ts'
import { callbackSchema, type Callback, type CallbackResult } from '../../payments/callback.ts'
import type { PaymentProvider } from '../../payments/provider.ts'
import { isSigned, SIGNATURE_HEADER } from '../../payments/signature.ts'
import { startPayment } from '../../payments/start.ts'
import { answer, claimsOf, type Context, type Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import { validate } from '../validate.ts'

const orderParams = z.object({ id })
const outcome = z.enum(['success', 'failure']).default('success')

export function orderRoutes(
  router: Router,
  deps: {
    knex: Knex
    provider: PaymentProvider
    paymentSecret: string
    /** Whether a request may choose what the simulated provider answers. */
    outcomeByRequest: boolean
    settlePayment: (provider: string, callback: Callback) => Promise<CallbackResult>
    user: Middleware
  },
): void {
  const paymentBody = deps.outcomeByRequest
    ? z.strictObject({ outcome })
    : z.strictObject({}).transform(() => ({ outcome: 'success' as const }))

  router.get('/orders/:id', deps.user, async (ctx: Context) => {
    const order = await findOrder(deps.knex, validate(orderParams, ctx.params).id, claimsOf(ctx).sub)
    if (order === undefined) throw new ApiError('NOT_FOUND')
    answer(ctx, order)
  })

  router.post('/orders/:id/payments', deps.user, async (ctx: Context) => {
    const { id: orderId } = validate(orderParams, ctx.params)
    const body = validate<{ outcome: 'success' | 'failure' }>(paymentBody, ctx.request.body ?? {})
    const start = await startPayment(deps.knex, {
      orderId,
      userId: claimsOf(ctx).sub,
      provider: deps.provider.name,
    })
    if (start.kind === 'not_found') throw new ApiError('NOT_FOUND')
    if (start.kind === 'not_pending')
      throw new ApiError('ORDER_NOT_PENDING', { data: { status: start.status } })
    deps.provider.charge({ ...start.payment, outcome: body.outcome })
    ctx.set('Location', `/api/v1/orders/${orderId}`)
    answer(ctx, { payment_id: start.payment.paymentId, status: 'pending' }, 202)
  })

  router.post('/payments/callback', async (ctx: Context) => {
    const raw = (ctx.request as { rawBody?: string }).rawBody ?? ''
    if (!isSigned(deps.paymentSecret, raw, ctx.get(SIGNATURE_HEADER), Date.now()))
      throw new ApiError('INVALID_SIGNATURE')
    const result = await deps.settlePayment(deps.provider.name, validate(callbackSchema, ctx.request.body))
    if (result.kind === 'unknown_payment') throw new ApiError('NOT_FOUND')
    if (result.kind === 'amount_differs') throw new ApiError('PAYMENT_MISMATCH')
    answer(ctx, { result: result.kind })
  })
}
