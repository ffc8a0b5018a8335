import { z } from 'zod'
import { id } from '../../contracts/values.ts'
import { idParams, timestamp, units } from './fields.ts'
import { defineRoute } from './route.ts'
import { eventData } from './spike-events.ts'

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
    reservations: z
      .object({ undecided: count, ordered: count, void: count })
      .describe('Reservations that PostgreSQL has received, by verdict.'),
    voids: z.record(z.string(), count).describe('Reservations that got no order, by reason.'),
    peak: z
      .object({ reservations: perSecond, orders: perSecond, rejected: perSecond })
      .describe(
        'The busiest second of each; null when there was none. Rejected requests are counted like `requests`.',
      ),
    sold_out_after_ms: z
      .int()
      .nullable()
      .describe('From start_at to the order that first left no unit free; null when none did.'),
    decision_ms: percentiles.describe('From the reservation to its verdict; null before the first one.'),
    revenue: z
      .object({ captured: amount, refunded: amount, refunds: count, currency: z.string() })
      .describe('Money taken; of it what has to be given back, with the number of refunds, done or open.'),
    course: z
      .object({
        step_seconds: z.int().min(1),
        points: z.array(
          z.object({
            at: timestamp.describe('Begin of the step.'),
            orders: count.describe('Orders made in it.'),
            free: units.describe('Units without a live claim at its end.'),
          }),
        ),
      })
      .nullable()
      .describe(
        'From the first order to the last one made or closed, in equal steps, at most about 120 of them; steps in ' +
          'which nothing happened are left out. Null while there is no order.',
      ),
    epoch: count.describe(
      "Generation of the event's Redis state: 0 in a draft, then 1, and one more for each rebuild.",
    ),
    actions: z
      .record(z.string(), count)
      .describe(
        'What was done to the event, by action of the audit log: `pause`, `stock`, `rebuild`, `repair` ...',
      ),
    conservation: conservationData,
  })
  .meta({ id: 'SaleReport' })

export const figureRoutes = {
  readConservation: defineRoute({
    method: 'get',
    path: '/spike-events/:id/conservation',
    tag: 'spike events',
    summary: 'Is every unit accounted for?',
    description:
      'Reads PostgreSQL in one snapshot, then Redis. The invariants are those that the stores alone can show: 1, 2, 4 ' +
      'and 6 hold at any moment; 3 (drift) compares both stores and is exact only while nothing is in flight, so it ' +
      'may fail for a moment during a sale; 7 needs running workers. Walks over every reservation of the event, so ' +
      'it may take seconds for a big one.',
    access: 'viewer',
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
    access: 'viewer',
    limit: 'read',
    params: idParams,
    replies: { 200: { description: 'The report; final once the sale has ended.', data: reportData } },
    errors: ['NOT_FOUND'],
  }),
}
