/** How the sale of one event went, from PostgreSQL. Every function reads in the caller's snapshot. */
import type { Knex } from 'knex'
import type { VoidReason } from '../contracts/values.ts'
import type { OrderStatus } from '../orders/model.ts'
import type { Peak } from '../reserve/outcome-counts.ts'

type Reader<T> = (trx: Knex.Transaction, eventId: string) => Promise<T>

async function one<T>(trx: Knex.Transaction, sql: string, eventId: string): Promise<T> {
  return (await trx.raw(sql, { eventId })).rows[0]
}

export interface StockFigures {
  /** Units granted at publishing and since, and units given back to the inventory. */
  granted: number
  returned: number
}

export const readStock: Reader<StockFigures> = (trx, eventId) =>
  one(
    trx,
    `SELECT coalesce(sum(delta) FILTER (WHERE delta > 0), 0)::int AS granted,
            coalesce(-sum(delta) FILTER (WHERE delta < 0), 0)::int AS returned
       FROM spike_event_adjustments WHERE event_id = :eventId`,
    eventId,
  )

/** Numbers of orders: all, by status, and closed ones by reason. */
export type OrderFigures = Record<Exclude<OrderStatus, 'closed'> | 'made' | 'lapsed' | 'cancelled', number>

export const readOrders: Reader<OrderFigures> = (trx, eventId) =>
  one(
    trx,
    `SELECT count(*)::int AS made,
            count(*) FILTER (WHERE status = 'pending')::int AS pending,
            count(*) FILTER (WHERE status = 'paid')::int AS paid,
            count(*) FILTER (WHERE status = 'refunded')::int AS refunded,
            count(*) FILTER (WHERE close_reason = 'lapsed')::int AS lapsed,
            count(*) FILTER (WHERE close_reason = 'cancelled')::int AS cancelled
       FROM orders WHERE event_id = :eventId`,
    eventId,
  )

/** Minor units, but for the number of refunds; a refund counts from the moment that it is opened. */
export interface MoneyFigures {
  captured: number
  refunded: number
  refunds: number
}

export const readMoney: Reader<MoneyFigures> = (trx, eventId) =>
  one(
    trx,
    `SELECT (SELECT coalesce(sum(e.amount), 0)::bigint FROM payment_events e
               JOIN payments p ON p.id = e.payment_id JOIN orders o ON o.id = p.order_id
              WHERE o.event_id = :eventId AND e.kind = 'captured') AS captured,
            coalesce(sum(r.amount), 0)::bigint AS refunded, count(r.id)::int AS refunds
       FROM refunds r JOIN orders o ON o.id = r.order_id WHERE o.event_id = :eventId`,
    eventId,
  )

/** Numbers of void reservations; reasons that did not happen are left out. */
export const readVoids: Reader<Partial<Record<VoidReason, number>>> = async (trx, eventId) => {
  const rows: { void_reason: VoidReason; count: number }[] = await trx('reservations')
    .where({ event_id: eventId, status: 'void' })
    .groupBy('void_reason')
    .orderBy('void_reason')
    .select('void_reason', trx.raw('count(*)::int AS count'))
  return Object.fromEntries(rows.map((row) => [row.void_reason, row.count]))
}

/** What passed the gate: an order that late money has bought again has a second rid, which never did. */
const AT_GATE = `
  SELECT r.reserved_at, r.decided_at FROM reservations r
   WHERE r.event_id = :eventId AND r.rid NOT IN (
     SELECT reservation_id FROM (
       SELECT reservation_id, row_number() OVER (PARTITION BY order_id ORDER BY created_at) AS nth
         FROM spike_orders WHERE event_id = :eventId AND (live OR NOT live)) claims
      WHERE nth > 1)`

export const readPeakReservations: Reader<Peak | undefined> = (trx, eventId) =>
  one(trx, busiestSecond('reserved_at', AT_GATE), eventId)

export const readPeakOrders: Reader<Peak | undefined> = (trx, eventId) =>
  one(trx, busiestSecond('created_at', 'SELECT created_at FROM orders WHERE event_id = :eventId'), eventId)

function busiestSecond(column: string, rows: string): string {
  return `SELECT date_trunc('second', ${column}) AS second, count(*)::int AS count
            FROM (${rows}) rows GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1`
}

/** Milliseconds from the reservation, by Redis's clock, to its verdict, by PostgreSQL's; null without any. */
export interface DecisionTimes {
  p50: number | null
  p90: number | null
  p99: number | null
  max: number | null
}

export const readDecisionTimes: Reader<DecisionTimes> = (trx, eventId) =>
  one(trx, decisionTimes('decided_at IS NOT NULL'), eventId)

/** Of the verdicts of the last 30 s. */
export const readRecentDecisionTimes: Reader<DecisionTimes> = (trx, eventId) =>
  one(trx, decisionTimes(`decided_at > now() - interval '30 s'`), eventId)

function decisionTimes(which: string): string {
  return `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS p50,
                 percentile_cont(0.9) WITHIN GROUP (ORDER BY ms) AS p90,
                 percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) AS p99,
                 max(ms) AS max
            FROM (SELECT (extract(epoch FROM decided_at - reserved_at) * 1000)::float8 AS ms
                    FROM (${AT_GATE}) rows WHERE ${which}) decided`
}

/**
 * What was granted and cut, claimed and let go; `free` and `ahead` are units. An order is closed once at most, whatever
 * late money makes of it afterwards: that is when its claim was let go.
 */
const MOVES_SQL = `
  SELECT created_at AS at, 'stock' AS kind, delta AS free, -greatest(delta, 0) AS ahead
    FROM spike_event_adjustments WHERE event_id = :eventId
  UNION ALL
  SELECT o.closed_at, 'release', s.quantity, 0
    FROM spike_orders s JOIN orders o ON o.id = s.order_id WHERE s.event_id = :eventId AND NOT s.live
  UNION ALL
  SELECT created_at, 'claim', -quantity, quantity FROM spike_orders
   WHERE event_id = :eventId AND (live OR NOT live)`

export interface Turnover {
  /**
   * Units that were sold again: of every claim, those beyond all units granted until then. Units have no names, so
   * one that was never sold is taken to go first.
   */
  secondSales: number
  /** When a claim left no unit free for the first time; null when none did. */
  soldOutAt: Date | null
}

/**
 * Replays what was granted and cut, claimed and let go, in the order of time. A second sale is a claim for which no
 * fresh unit was left: their number is the highest that claims were ever ahead of grants.
 */
export const readTurnover: Reader<Turnover> = (trx, eventId) =>
  one(
    trx,
    `WITH moves AS (${MOVES_SQL}
     ), course AS (
       SELECT at, kind, sum(free) OVER w AS free, sum(ahead) OVER w AS ahead
         FROM moves WINDOW w AS (ORDER BY at, kind = 'claim' ROWS UNBOUNDED PRECEDING)
     )
     SELECT greatest(0, max(ahead))::int AS "secondSales",
            min(at) FILTER (WHERE kind = 'claim' AND free <= 0) AS "soldOutAt"
       FROM course`,
    eventId,
  )

/** A sale in at most about `POINTS` steps of equal length, from the first order to the last thing that moved units. */
export interface Course {
  stepSeconds: number
  /** Steps in which nothing happened are left out. */
  points: {
    /** Begin of the step. */
    at: Date
    /** Orders made in it. */
    orders: number
    /** Units without a live claim at its end. */
    free: number
  }[]
}

const POINTS = 120

/** Undefined while there is no order. */
export const readCourse: Reader<Course | undefined> = async (trx, eventId) => {
  const { rows } = await trx.raw(
    `WITH moves AS (${MOVES_SQL}), span AS (
       SELECT date_trunc('second', first) AS first, last,
              greatest(1, ceil(extract(epoch FROM last - first) / :points))::int AS step
         FROM (SELECT min(at) FILTER (WHERE kind = 'claim') AS first,
                      max(at) FILTER (WHERE kind <> 'stock') AS last FROM moves) ends
     ), steps AS (
       SELECT greatest(0, floor(extract(epoch FROM at - first) / step))::int AS nth, first, step,
              count(*) FILTER (WHERE kind = 'claim')::int AS orders, sum(free) AS free
         FROM moves, span WHERE at <= last GROUP BY 1, 2, 3
     )
     SELECT first + nth * step * interval '1 second' AS at, orders, step,
            (sum(free) OVER (ORDER BY nth))::int AS free
       FROM steps ORDER BY nth`,
    { eventId, points: POINTS },
  )
  const [start] = rows
  if (start === undefined) return undefined
  return {
    stepSeconds: start.step,
    points: rows.map(({ at, orders, free }: Course['points'][number]) => ({ at, orders, free })),
  }
}

/** What people and the product did to the event, from the audit log: numbers by action, such as `pause`. */
export const readActions: Reader<Record<string, number>> = async (trx, eventId) => {
  const rows: { action: string; count: number }[] = await trx('audit_log')
    .where('target', eventId)
    .whereLike('action', `${ACTIONS}%`)
    .groupBy('action')
    .orderBy('action')
    .select('action', trx.raw('count(*)::int AS count'))
  return Object.fromEntries(rows.map(({ action, count }) => [action.slice(ACTIONS.length), count]))
}

const ACTIONS = 'spike-event.'
