import type { Knex } from 'knex'
import { isTaken, type BuyInput, type NotTaken, type Purchase } from '../../buy.ts'
import { findEvent } from '../../spike-events/model.ts'
import type { Tracker, Tracking } from '../../track.ts'
import { POLL_AFTER_MS, type purchaseRoutes } from '../contract/purchases.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

export function purchaseHandlers(deps: {
  buy: (input: BuyInput) => Promise<Purchase>
  tracker: Tracker
  knex: Knex
}): HandlersOf<typeof purchaseRoutes> {
  return {
    buy: async ({ params, body, claims, requestId }) => {
      const purchase = await deps.buy({
        eventId: params.id,
        userId: claims.sub,
        quantity: body.quantity,
        requestId,
      })
      if (!isTaken(purchase)) return refusalOf(purchase, deps.knex, params.id)
      return {
        status: 202,
        data: { reservation_id: purchase.rid, status: purchase.kind, poll_after_ms: POLL_AFTER_MS },
        headers: { Location: `/api/v1/reservations/${purchase.rid}`, 'Retry-After': '1' },
      }
    },
    readReservation: async ({ params, claims }) => {
      const tracking = await deps.tracker.find(params.rid, claims.sub)
      if (tracking === undefined) return refuse('NOT_FOUND')
      return { status: 200, data: presentTracking(params.rid, tracking) }
    },
    streamReservation: async () => refuse('NOT_READY'),
  }
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

async function refusalOf(purchase: NotTaken, knex: Knex, eventId: string) {
  switch (purchase.kind) {
    case 'existing':
      return refuse('ALREADY_PURCHASED', { data: { reservation_id: purchase.rid } })
    case 'not_started':
      return refuse('SALE_NOT_STARTED', { data: { starts_in_ms: purchase.startsInMs } })
    case 'quantity_limit':
      return refuse('VALIDATION_FAILED', {
        data: { fields: [{ field: 'quantity', problem: `this sale allows ${purchase.limit} a buyer` }] },
      })
    case 'not_ready': {
      // A missing gate is also what an unknown event looks like; drafts are not to be found by guessing.
      const event = await findEvent(knex, eventId)
      return event === undefined || event.status === 'draft' ? refuse('NOT_FOUND') : refuse('NOT_READY')
    }
    case 'paused':
      return refuse('SALE_PAUSED')
    case 'ended':
      return refuse('SALE_ENDED')
    case 'lapse_limit':
      return refuse('LAPSE_LIMIT')
    case 'all_held':
      return refuse('ALL_HELD')
    case 'sold_out':
      return refuse('SOLD_OUT')
    case 'overloaded':
      return refuse('OVERLOADED')
  }
}
