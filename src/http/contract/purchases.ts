import { z } from 'zod'
import { id, quantity, VOID_REASONS } from '../../contracts/values.ts'
import { idParams, timestamp } from './fields.ts'
import { defineRoute } from './route.ts'

const ridParams = z.object({ rid: id })

/** How long a client should wait before it asks for the verdict. */
export const POLL_AFTER_MS = 300

export const takenData = z
  .object({
    reservation_id: id,
    status: z.enum(['queued', 'reserving']),
    poll_after_ms: z.int(),
  })
  .meta({ id: 'Taken', description: 'A unit is held for the buyer.' })

export const trackingData = z
  .union([
    z.object({ reservation_id: id, status: z.enum(['reserving', 'queued']), poll_after_ms: z.int() }),
    z.object({
      reservation_id: id,
      status: z.literal('ordered'),
      order_id: id,
      expires_at: timestamp.describe('Until when the order has to be paid.'),
    }),
    z.object({
      reservation_id: id,
      status: z.literal('void'),
      reason: z
        .enum(VOID_REASONS)
        .describe('`expired`: the reservation got lost on its way; the unit is free again, so try again.'),
    }),
  ])
  .meta({ id: 'Reservation', description: '`ordered` and `void` are final.' })

export const purchaseRoutes = {
  buy: defineRoute({
    method: 'post',
    path: '/spike-events/:id/orders',
    tag: 'purchases',
    summary: 'Buy units of a spike event',
    description:
      'Takes the units at once and answers before the order is made. `queued` is durable; `reserving` is not ' +
      'confirmed by the broker yet and gets its answer as well.',
    access: 'user',
    limit: 'purchase',
    idempotency: 'optional',
    params: idParams,
    body: z.strictObject({ quantity: quantity.default(1) }),
    replies: {
      202: {
        description: 'The units are held; ask for the verdict.',
        data: takenData,
        headers: { Location: 'Path of the reservation.', 'Retry-After': 'Seconds until asking makes sense.' },
      },
    },
    errors: [
      'NOT_FOUND',
      'SALE_NOT_STARTED',
      'SALE_ENDED',
      'SOLD_OUT',
      'ALL_HELD',
      'ALREADY_PURCHASED',
      'LAPSE_LIMIT',
      'SALE_PAUSED',
    ],
  }),
  readReservation: defineRoute({
    method: 'get',
    path: '/reservations/:rid',
    tag: 'purchases',
    summary: 'What became of a reservation',
    access: 'user',
    limit: 'read',
    params: ridParams,
    replies: { 200: { description: 'Where it is.', data: trackingData } },
    errors: ['NOT_FOUND'],
  }),
  streamReservation: defineRoute({
    method: 'get',
    path: '/reservations/:rid/stream',
    tag: 'purchases',
    summary: 'Every change of a reservation until the final one',
    description:
      'Server-sent events named `reservation`, each with the data of `GET /reservations/:rid` and its status as ' +
      'id: the present state first, then every step forward; the stream ends after `ordered` or `void`. Steps that ' +
      'follow each other at once may come as one. A stream that ends before that is to be opened again. A comment ' +
      'every 15 s keeps proxies awake. A buyer may keep 10 streams open at a process.',
    access: 'user',
    limit: 'read',
    params: ridParams,
    headers: { 'Last-Event-ID': 'The id of the last event that was heard; browsers send it by themselves.' },
    replies: {
      200: { description: 'The stream.', content: 'text/event-stream' },
      204: { description: 'Last-Event-ID names the verdict: there is nothing to wait for.' },
    },
    errors: ['NOT_FOUND', 'RATE_LIMITED'],
  }),
}
