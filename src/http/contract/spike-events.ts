import { z } from 'zod'
import { id, MAX_QUANTITY, money } from '../../contracts/values.ts'
import { FINDING_KINDS, IN_POSTGRES, IN_REDIS } from '../../reconcile.ts'
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

/** Rids that a report of a repair lists; the numbers are of all. */
export const MAX_LISTED = 100

const findingCounts = z.partialRecord(z.enum(FINDING_KINDS), z.int().min(1))
const repairData = z
  .object({
    event_id: id,
    dry_run: z.boolean(),
    drift: units
      .nullable()
      .describe(
        'available - in_flight - pending_releases - stock in Redis, before the repair; null without a gate.',
      ),
    findings: findingCounts.describe('Numbers of what the stores disagreed on, twice, a second apart.'),
    reservations: z
      .array(
        z.object({
          reservation_id: id,
          kind: z.enum(FINDING_KINDS),
          redis: z.enum(IN_REDIS),
          postgres: z.enum(IN_POSTGRES),
        }),
      )
      .max(MAX_LISTED)
      .describe(`The first ${MAX_LISTED} of them that lie with a single reservation.`),
    repaired: findingCounts.describe('Repairs of single reservations that changed something.'),
    rebuilt: z
      .boolean()
      .describe('The event was rebuilt, as for findings that no single reservation explains.'),
  })
  .meta({ id: 'Repair' })

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
    description: 'Drafts are listed with `state=draft` only, and for viewers, operators and admins only.',
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
    description: 'A draft is there for viewers, operators and admins only.',
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
  repairSpikeEvent: defineRoute({
    method: 'post',
    path: '/spike-events/:id/repair',
    tag: 'spike events',
    summary: 'Compare the stores and repair what they disagree on',
    description:
      'Holds every reservation in Redis against PostgreSQL, which is right. What is in flight is no finding. Repairs ' +
      'go by reservation and can be repeated; what none of them explains takes a rebuild. The workers do the same by ' +
      'themselves. Walks over every reservation of the event, so it may take seconds for a big one.',
    access: 'admin',
    limit: 'write',
    params: idParams,
    body: z.strictObject({
      dry_run: z.boolean().default(true).describe('Only report; nothing is changed.'),
    }),
    replies: { 200: { description: 'What was found, and what was done about it.', data: repairData } },
    errors: ['NOT_FOUND', 'WRONG_STATE'],
  }),
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
}
