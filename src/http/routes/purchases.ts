import type Router from '@koa/router'
import type { Knex } from 'knex'
import { z } from 'zod'
import { isTaken, type BuyInput, type NotTaken, type Purchase } from '../../buy.ts'
import { id, quantity } from '../../contracts/values.ts'
import { findEvent } from '../../spike-events/model.ts'
import type { Tracker, Tracking } from '../../track.ts'
import { answer, claimsOf, type Context, type Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import { validate } from '../validate.ts'
import { eventParams } from './spike-events.ts'

const purchaseBody = z.strictObject({ quantity: quantity.default(1) })
const ridParams = z.object({ rid: id })

/** How long a client should wait before it asks for the verdict. */
const POLL_AFTER_MS = 300

export function purchaseRoutes(
  router: Router,
  deps: {
    buy: (input: BuyInput) => Promise<Purchase>
    tracker: Tracker
    knex: Knex
    user: Middleware
    limitPurchases: Middleware
  },
): void {
  router.post('/spike-events/:id/orders', deps.user, deps.limitPurchases, async (ctx: Context) => {
    const { id: eventId } = validate(eventParams, ctx.params)
    const body = validate(purchaseBody, ctx.request.body ?? {})
    const purchase = await deps.buy({
      eventId,
      userId: claimsOf(ctx).sub,
      quantity: body.quantity,
      requestId: ctx.state.requestId,
    })
    if (!isTaken(purchase)) throw await refusalOf(purchase, deps.knex, eventId)
    ctx.set('Location', `/api/v1/reservations/${purchase.rid}`)
    ctx.set('Retry-After', '1')
    answer(ctx, { reservation_id: purchase.rid, status: purchase.kind, poll_after_ms: POLL_AFTER_MS }, 202)
  })

  router.get('/reservations/:rid', deps.user, async (ctx: Context) => {
    const { rid } = validate(ridParams, ctx.params)
    const tracking = await deps.tracker.find(rid, claimsOf(ctx).sub)
    if (tracking === undefined) throw new ApiError('NOT_FOUND')
    answer(ctx, presentTracking(rid, tracking))
  })
}

function presentTracking(rid: string, tracking: Tracking) {
  const { status } = tracking
  switch (status) {
    case 'reserving':
    case 'queued':
      return { reservation_id: rid, status, poll_after_ms: POLL_AFTER_MS }
    case 'void':
      return { reservation_id: rid, status, reason: tracking.reason }
    case 'ordered':
      return {
        reservation_id: rid,
        status,
        order_id: tracking.orderId,
        expires_at: new Date(tracking.expiresAtMs).toISOString(),
      }
  }
}

async function refusalOf(purchase: NotTaken, knex: Knex, eventId: string): Promise<ApiError> {
  switch (purchase.kind) {
    case 'existing':
      return new ApiError('ALREADY_PURCHASED', { data: { reservation_id: purchase.rid } })
    case 'not_started':
      return new ApiError('SALE_NOT_STARTED', { data: { starts_in_ms: purchase.startsInMs } })
    case 'quantity_limit':
      return new ApiError('VALIDATION_FAILED', {
        data: { fields: [{ field: 'quantity', problem: `this sale allows ${purchase.limit} a buyer` }] },
      })
    case 'not_ready': {
      // A missing gate is also what an unknown event looks like; drafts are not to be found by guessing.
      const event = await findEvent(knex, eventId)
      return new ApiError(event === undefined || event.status === 'draft' ? 'NOT_FOUND' : 'NOT_READY')
    }
    case 'paused':
      return new ApiError('SALE_PAUSED')
    case 'ended':
      return new ApiError('SALE_ENDED')
    case 'lapse_limit':
      return new ApiError('LAPSE_LIMIT')
    case 'all_held':
      return new ApiError('ALL_HELD')
    case 'sold_out':
      return new ApiError('SOLD_OUT')
    case 'overloaded':
      return new ApiError('OVERLOADED')
  }
}
