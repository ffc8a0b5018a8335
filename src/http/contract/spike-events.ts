import { z } from 'zod'
import { id, MAX_QUANTITY, money } from '../../contracts/values.ts'
import { EVENT_STATES } from '../../spike-events/model.ts'
import { currency, idParams, listQuery, pageOf, reason, timestamp, units } from './fields.ts'
import { defineRoute } from './route.ts'

export const eventData = z
  .object({
    id,
    product_id: id,
    state: z.enum(EVENT_STATES),
    start_at: timestamp,
    end_at: timestamp,
    spike_price: money,
    currency: z.string(),
    stock: units.describe('Units granted; of a draft, units asked for.'),
    remaining: units.nullable().describe('Units that Redis has left; null when there is no gate.'),
    payment_window_s: z.int(),
    per_user_limit: z.int(),
    lapse_limit: z.int(),
    version: z.int(),
    server_time: timestamp.describe("The database's clock, for countdowns."),
  })
  .meta({ id: 'SpikeEvent' })

const eventFields = {
  product_id: id,
  start_at: timestamp,
  end_at: timestamp,
  spike_price: money,
  stock: z.int().min(1).max(1_000_000),
  payment_window_s: z.int().min(1).max(86_400).describe('Seconds that a buyer has to pay.'),
  per_user_limit: z.int().min(1).max(MAX_QUANTITY).describe('Units that one buyer may hold.'),
  lapse_limit: z
    .int()
    .min(0)
    .max(100)
    .describe('Orders that one buyer may let go unpaid and still try again.'),
}

const adjustmentData = z.object({
  adjustment_id: id,
  event_id: id,
  delta: units,
  granted: units,
  available: units,
})

/** Numbers of Redis, one atomic read; null when the event has no gate. */
const redisUnits = z
  .object({
    granted: units,
    stock: units,
    held: units,
    queued: units,
    confirmed: units,
    paid: units,
    released: units,
  })
  .nullable()

export const conservationData = z
  .object({
    event_id: id,
    granted: units.describe('T: the sum of the event’s stock ledger.'),
    available: units.describe('A: granted units without a live claim.'),
    live: units.describe('Units of orders that are pending or paid.'),
    pending: units.describe('Units of pending orders.'),
    paid: units.describe('Units of paid orders.'),
    redis: redisUnits,
    in_flight: units.describe('Held in Redis, without a verdict.'),
    pending_releases: units.describe('Void or closed in PostgreSQL, not yet released in Redis.'),
    drift: units.describe('available - in_flight - pending_releases - stock in Redis.'),
    oversold: units,
    invariants: z.array(z.object({ name: z.string(), holds: z.boolean(), shown_by: z.string() })),
    as_of: timestamp,
  })
  .meta({ id: 'Conservation', description: 'The invariants of a sale as numbers.' })

const perSecond = z.object({ second: timestamp, count: z.int() }).nullable()
const percentiles = z
  .object({ p50: z.number(), p90: z.number(), p99: z.number(), max: z.number() })
  .nullable()

export const reportData = z
  .object({
    event: eventData,
    units: z.object({ granted: units, sold: units, paid: units, pending: units, returned: units }),
    sell_through: z.number().describe('Paid units by units ever granted, 0 to 1.'),
    orders: z.object({
      made: z.int(),
      paid: z.int(),
      pending: z.int(),
      lapsed: z.int(),
      cancelled: z.int(),
      refunds: z.int(),
    }),
    second_sales: units.describe('Units that were sold again after they had come back.'),
    requests: z.object({
      accepted: z.int(),
      rejected: z.record(z.string(), z.int()).describe('By error name; counted in Redis, best effort.'),
    }),
    voids: z.record(z.string(), z.int()).describe('Reservations that got no order, by reason.'),
    peak: z.object({ reservations: perSecond, orders: perSecond }),
    sold_out_after_ms: z.number().nullable().describe('From the start to the moment that no unit was free.'),
    decision_ms: percentiles.describe('From the reservation to the verdict.'),
    revenue: z.object({ captured: money, refunded: money, currency: z.string() }),
    conservation: conservationData,
  })
  .meta({ id: 'SaleReport' })

const ETAG = { ETag: 'Begins with the version; send it back as If-Match or If-None-Match.' }

const action = <const N extends 'publish' | 'pause' | 'resume' | 'end' | 'rebuild'>(
  name: N,
  summary: string,
  description: string,
) =>
  defineRoute({
    method: 'post',
    path: `/spike-events/:id/${name}`,
    tag: 'spike events',
    summary,
    description,
    access: 'admin',
    limit: 'write',
    params: idParams,
    replies: { 200: { description: 'The event after it.', data: eventData, headers: ETAG } },
    errors: ['NOT_FOUND', 'WRONG_STATE', 'INSUFFICIENT_STOCK', 'SALE_ENDED'],
  })

export const spikeEventRoutes = {
  listSpikeEvents: defineRoute({
    method: 'get',
    path: '/spike-events',
    tag: 'spike events',
    summary: 'List spike events, the last to end first',
    description: 'Drafts are listed for operators only.',
    access: 'visitor',
    limit: 'read',
    query: listQuery({
      state: z.enum(EVENT_STATES).optional(),
      product_id: id.optional(),
      currency: currency.optional(),
    }),
    replies: { 200: { description: 'One page of events.', data: pageOf(eventData) } },
    errors: ['FORBIDDEN'],
  }),
  readSpikeEvent: defineRoute({
    method: 'get',
    path: '/spike-events/:id',
    tag: 'spike events',
    summary: 'Read a spike event with its remaining units',
    description: 'A draft is there for operators only.',
    access: 'visitor',
    limit: 'read',
    params: idParams,
    replies: {
      200: { description: 'The event.', data: eventData, headers: ETAG },
      304: { description: 'Nothing has changed since If-None-Match.' },
    },
    errors: ['NOT_FOUND'],
  }),
  createSpikeEvent: defineRoute({
    method: 'post',
    path: '/spike-events',
    tag: 'spike events',
    summary: 'Draft a spike event',
    access: 'admin',
    limit: 'write',
    idempotency: 'optional',
    body: z
      .strictObject({
        ...eventFields,
        per_user_limit: eventFields.per_user_limit.default(1),
        lapse_limit: eventFields.lapse_limit.default(1),
      })
      .refine((event) => Date.parse(event.end_at) > Date.parse(event.start_at), {
        path: ['end_at'],
        message: 'must be after start_at',
      }),
    replies: {
      201: {
        description: 'The draft.',
        data: eventData,
        headers: { ...ETAG, Location: 'Path of the event.' },
      },
    },
    errors: ['NOT_FOUND'],
  }),
  patchSpikeEvent: defineRoute({
    method: 'patch',
    path: '/spike-events/:id',
    tag: 'spike events',
    summary: 'Change a spike event',
    description:
      'A draft may be changed in everything but its product. Once it is published, only `payment_window_s` may ' +
      'change, for orders made from then on: price, window, stock and limits are what buyers were promised.',
    access: 'admin',
    limit: 'write',
    ifMatch: 'required',
    params: idParams,
    body: z
      .strictObject({
        start_at: eventFields.start_at,
        end_at: eventFields.end_at,
        spike_price: eventFields.spike_price,
        stock: eventFields.stock,
        payment_window_s: eventFields.payment_window_s,
        per_user_limit: eventFields.per_user_limit,
        lapse_limit: eventFields.lapse_limit,
      })
      .partial()
      .refine((body) => Object.keys(body).length > 0, 'names nothing to change'),
    replies: { 200: { description: 'The event.', data: eventData, headers: ETAG } },
    errors: ['NOT_FOUND', 'WRONG_STATE', 'FROZEN'],
  }),
  publishSpikeEvent: action(
    'publish',
    'Publish a draft',
    'Rings the stock off the inventory and opens the gate; buying begins at start_at.',
  ),
  pauseSpikeEvent: action(
    'pause',
    'Pause a sale',
    'Purchases are refused with SALE_PAUSED until it is resumed.',
  ),
  resumeSpikeEvent: action('resume', 'Resume a paused sale', 'Purchases go on.'),
  endSpikeEvent: action(
    'end',
    'End a sale',
    'Free units go back to the inventory; unpaid orders keep their deadline.',
  ),
  rebuildSpikeEvent: action(
    'rebuild',
    "Rebuild an event's Redis state from PostgreSQL",
    'Closes the gate, raises the epoch, swaps in what PostgreSQL says, keeps reservations that are in flight.',
  ),
  adjustSpikeStock: defineRoute({
    method: 'post',
    path: '/spike-events/:id/stock',
    tag: 'spike events',
    summary: 'Add units to a running sale or cut some',
    description: 'A row of the stock ledger in PostgreSQL first, applied to Redis once by its id.',
    access: 'admin',
    limit: 'write',
    idempotency: 'optional',
    params: idParams,
    body: z.strictObject({
      delta: z
        .int()
        .min(-1_000_000)
        .max(1_000_000)
        .refine((delta) => delta !== 0, 'must not be 0'),
      reason,
    }),
    replies: { 201: { description: 'The ledger row and the units after it.', data: adjustmentData } },
    errors: ['NOT_FOUND', 'WRONG_STATE', 'INSUFFICIENT_STOCK', 'STOCK_LIMIT'],
  }),
  readConservation: defineRoute({
    method: 'get',
    path: '/spike-events/:id/conservation',
    tag: 'spike events',
    summary: 'Is every unit accounted for?',
    access: 'operator',
    limit: 'read',
    params: idParams,
    replies: { 200: { description: 'The invariants as numbers.', data: conservationData } },
    errors: ['NOT_FOUND'],
  }),
  readReport: defineRoute({
    method: 'get',
    path: '/spike-events/:id/report',
    tag: 'spike events',
    summary: 'What a sale brought',
    access: 'operator',
    limit: 'read',
    params: idParams,
    replies: { 200: { description: 'The report; final once the sale has ended.', data: reportData } },
    errors: ['NOT_FOUND'],
  }),
}
