import type { Knex } from 'knex'
import { isTaken, type BuyInput, type NotTaken, type Purchase } from '../../buy.ts'
import { EventStream } from '../../platform/event-stream.ts'
import { ERROR_OF_OUTCOME } from '../../reserve/outcome-counts.ts'
import { findEvent } from '../../spike-events/model.ts'
import type { Tracker, Tracking } from '../../track.ts'
import type { Watcher } from '../../watch.ts'
import { POLL_AFTER_MS, type purchaseRoutes } from '../contract/purchases.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

export function purchaseHandlers(deps: {
  buy: (input: BuyInput) => Promise<Purchase>
  tracker: Tracker
  watcher: Watcher
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
    streamReservation: async ({ ctx, params, claims }) => {
      // Browsers connect again after the last event too: 204 tells them to leave it.
      const told = ctx.get('Last-Event-ID')
      if (told === 'ordered' || told === 'void') {
        const tracking = await deps.tracker.find(params.rid, claims.sub)
        if (tracking?.status === told) return { status: 204 }
      }
      const stream = new EventStream()
      const watching = await deps.watcher.watch(params.rid, claims.sub, {
        changed: (tracking) =>
          stream.send('reservation', tracking.status, presentTracking(params.rid, tracking)),
        beat: () => stream.comment(),
        ended: () => stream.finish(),
      })
      if (watching.kind === 'not_found') return refuse('NOT_FOUND')
      if (watching.kind === 'too_many') return refuse('RATE_LIMITED')
      if (watching.kind === 'full') return refuse('OVERLOADED')
      stream.once('close', watching.stop)
      return { status: 200, content: stream, type: EventStream.TYPE, headers: EventStream.HEADERS }
    },
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
      return refuse(ERROR_OF_OUTCOME.existing, { data: { reservation_id: purchase.rid } })
    case 'not_started':
      return refuse(ERROR_OF_OUTCOME.not_started, { data: { starts_in_ms: purchase.startsInMs } })
    case 'quantity_limit':
      return refuse(ERROR_OF_OUTCOME.quantity_limit, {
        data: { fields: [{ field: 'quantity', problem: `this sale allows ${purchase.limit} a buyer` }] },
      })
    case 'not_ready': {
      // A missing gate is also what an unknown event looks like; drafts are not to be found by guessing.
      const event = await findEvent(knex, eventId)
      return event === undefined || event.status === 'draft' ? refuse('NOT_FOUND') : refuse('NOT_READY')
    }
    case 'overloaded':
      return refuse('OVERLOADED')
    case 'paused':
    case 'ended':
    case 'lapse_limit':
    case 'all_held':
    case 'sold_out':
      return refuse(ERROR_OF_OUTCOME[purchase.kind])
  }
}
