import { z } from 'zod'
import { id, MAX_QUANTITY, money } from '../../contracts/values.ts'
import { EVENT_SORTS, EVENT_STATES, MAX_GRANTED } from '../../spike-events/model.ts'
import type { ErrorName } from '../errors.ts'
import { currency, idParams, listQuery, pageOf, reason, sortBy, timestamp, units } from './fields.ts'
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
    remaining: units
      .nullable()
      .describe('Units that Redis has left; null without a gate, or while Redis is away.'),
    payment_window_s: z.int(),
    per_user_limit: z.int(),
    lapse_limit: z.int(),
    version: z.int(),
    server_time: timestamp.describe("The database's clock, for countdowns."),
  })
  .meta({ id: 'SpikeEvent' })

/** Years of four digits, which every clock and every reader of ISO 8601 takes. */
const moment = timestamp.refine((text) => {
  const year = new Date(text).getUTCFullYear()
  return year >= 2000 && year <= 9999
}, 'must lie in the years 2000 to 9999')

const eventFields = {
  product_id: id,
  start_at: moment,
  end_at: moment,
  spike_price: money,
  stock: z.int().min(1).max(MAX_GRANTED),
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
  .describe('Numbers of Redis, one atomic read; null when the event has no gate.')

export const conservationData = z
  .object({
    event_id: id,
    granted: units.describe('T: the sum of the event’s stock ledger.'),
    available: units.describe('A: granted units without a live claim.'),
    live: units.describe('Units of live claims: of orders that are pending or paid.'),
    pending: units.describe('Units of pending orders.'),
    paid: units.describe('Units of paid orders.'),
    redis: redisUnits,
    in_flight: units.describe('Held in Redis, without a verdict.'),
    pending_releases: units.describe('Void or closed in PostgreSQL, not yet released in Redis.'),
    drift: units
      .nullable()
      .describe('available - in_flight - pending_releases - stock in Redis; null without a gate.'),
    oversold: units.describe('Units of live claims beyond the granted ones.'),
    invariants: z.array(
      z.object({
        name: z.string().describe('Begins with its number in the documentation.'),
        holds: z.boolean(),
        shown_by: z.string().describe('The numbers that it was judged on.'),
      }),
    ),
    as_of: timestamp.describe("When PostgreSQL was read, by the database's clock."),
  })
  .meta({ id: 'Conservation', description: 'The invariants of a sale as numbers.' })

const count = z.int().min(0)
/** A sum of money, which may be larger than any one price. */
const amount = z.int().min(0)
const perSecond = z.object({ second: timestamp, count }).nullable()
const percentiles = z
  .object({ p50: z.number(), p90: z.number(), p99: z.number(), max: z.number() })
  .nullable()

export const reportData = z
  .object({
    event: eventData,
    units: z
      .object({
        granted: units.describe('Ever granted: at publishing and by later additions.'),
        returned: units.describe('Given back to the inventory: by cuts, and at the end of the sale.'),
        sold: units.describe('Of all orders ever made: paid + pending + released.'),
        paid: units,
        pending: units,
        released: units.describe('Let go again by their orders, which lapsed or were cancelled.'),
      })
      .describe('A unit that was let go and sold again counts once for each sale.'),
    sell_through: z.number().describe('Paid units by units ever granted, 0 to 1.'),
    orders: z
      .object({ made: count, pending: count, paid: count, refunded: count, lapsed: count, cancelled: count })
      .describe('Numbers of orders: `made` is the sum of the others, which tell their states now.'),
    second_sales: units.describe(
      'Units that were sold again after they had come back. A unit that was never sold is taken to go first, so ' +
        'these are the units of orders beyond all that was granted until then.',
    ),
    requests: z
      .object({ accepted: count, rejected: z.record(z.string(), count).describe('By error name.') })
      .describe(
        'Purchase requests that reached the gate, counted best effort: written once a second, lost with Redis. ' +
          'Requests that were refused before (no gate, limits, overload) are not in it.',
      ),
    voids: z.record(z.string(), count).describe('Reservations that got no order, by reason.'),
    peak: z
      .object({ reservations: perSecond, orders: perSecond })
      .describe('The busiest second of each; null when there was none.'),
    sold_out_after_ms: z
      .int()
      .nullable()
      .describe('From start_at to the order that first left no unit free; null when none did.'),
    decision_ms: percentiles.describe('From the reservation to its verdict; null before the first one.'),
    revenue: z
      .object({ captured: amount, refunded: amount, refunds: count, currency: z.string() })
      .describe('Money taken; of it what has to be given back, with the number of refunds, done or open.'),
    conservation: conservationData,
  })
  .meta({ id: 'SaleReport' })

const ETAG = { ETag: '`"<version>.<state>.<remaining>"`; send it back as If-Match or If-None-Match.' }

/** @param errors that only this action has */
const action = <const E extends ErrorName = never>(
  name: 'publish' | 'pause' | 'resume' | 'end' | 'rebuild',
  summary: string,
  description: string,
  ...errors: E[]
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
    replies: {
      200: {
        description:
          'The event after it. PostgreSQL has it; the gate in Redis has followed or, if Redis is away, follows ' +
          'within seconds of its return.',
        data: eventData,
        headers: ETAG,
      },
    },
    errors: ['NOT_FOUND', 'WRONG_STATE', ...errors] as const,
  })

export const spikeEventRoutes = {
  listSpikeEvents: defineRoute({
    method: 'get',
    path: '/spike-events',
    tag: 'spike events',
    summary: 'List spike events, the last to end first',
    description: 'Drafts are listed with `state=draft` only, and for operators only.',
    access: 'visitor',
    limit: 'read',
    query: listQuery({
      state: z.enum(EVENT_STATES).optional(),
      product_id: id.optional(),
      currency: currency.optional(),
      sort: sortBy(EVENT_SORTS, 'end_at,desc'),
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
      304: { description: 'Nothing has changed since If-None-Match, but the time.', headers: ETAG },
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
    'Rings the stock off the inventory and opens the gate; buying begins at start_at. NOT_FOUND with a product_id: ' +
      'the product was deleted meanwhile. SALE_ENDED: end_at is over.',
    'INSUFFICIENT_STOCK',
    'SALE_ENDED',
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
    description:
      'A row of the stock ledger in PostgreSQL first, applied to Redis once by its id: at once or, if Redis is away, ' +
      "within seconds of its return. Added units come out of the product's inventory, cut ones go back to it. Only " +
      'units without an order can be cut; reservations that have no order yet may then be voided as `sold_out`. ' +
      'An event grants 1,000,000 units at most (STOCK_LIMIT). A request that is sent again without an ' +
      'Idempotency-Key is a second adjustment.',
    access: 'admin',
    limit: 'write',
    idempotency: 'optional',
    params: idParams,
    body: z.strictObject({
      delta: z
        .int()
        .min(-MAX_GRANTED)
        .max(MAX_GRANTED)
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
    description:
      'Reads PostgreSQL in one snapshot, then Redis. The invariants are those that the stores alone can show. All ' +
      'but 3 and 7 hold at any moment; 3 (drift) is judged over both stores and exact only while nothing is in ' +
      'flight: during a sale it may fail for a moment. 7 takes the sweep, which runs every 5 s. Walks over every ' +
      'reservation of the event: not for polling by many.',
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
    description: 'Zeros for a draft. Walks over every reservation and order of the event.',
    access: 'operator',
    limit: 'read',
    params: idParams,
    replies: { 200: { description: 'The report; final once the sale has ended.', data: reportData } },
    errors: ['NOT_FOUND'],
  }),
}
