/** Everything that the invariants of one event speak of, read from PostgreSQL and Redis. */
import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { decodeRecord, type UnitRecord } from '../../src/reserve/record.ts'
import type { spikeScripts, UnitCounts } from '../../src/reserve/scripts.ts'

/** Numbers of PostgreSQL, all of one snapshot. Units, except where a name says otherwise. */
export interface LedgerFacts {
  /** T, A and Live of the event. */
  granted: number
  available: number
  live: number
  /** Sum of the event's stock ledger. */
  ledger: number
  ordered: number
  paid: number
  lapsed: number
  /** Reservations by verdict. */
  reservations: { undecided: number; ordered: number; void: number }
  voidReasons: Record<string, number>
  /** Buyers with more than one live claim; rids with more than one order; rids with more than one release. */
  doubleClaims: number
  doubleOrders: number
  doubleReleases: number
  /** Orders that break invariant 6. */
  paidAndClosed: number
  capturedWithoutRefund: number
  overCaptured: number
  /** Orders pending more than 10 s past their deadline. */
  overdue: number
  pending: number
  unpublished: number
}

export interface Facts {
  ledger: LedgerFacts
  redis: UnitCounts | 'NOT_READY'
  /** A - InFlight - PendRel - R. */
  drift: number
  inFlight: number
  pendingReleases: number
}

export interface FactSources {
  knex: Knex
  redis: Redis
  scripts: Pick<Scripts<typeof spikeScripts>, 'countUnits'>
}

export async function readFacts(sources: FactSources, eventId: string): Promise<Facts> {
  const { knex, redis, scripts } = sources
  const counts = await scripts.countUnits({ eventId })
  const records = await readRecords(redis, eventId)
  const { ledger, decided } = await readLedger(knex, eventId)
  const holding = [...records].filter(([, record]) => record.state !== 'released')
  const unitsOf = (some: [string, UnitRecord][]) => some.reduce((sum, [, record]) => sum + record.quantity, 0)
  const inFlight = unitsOf(holding.filter(([rid]) => !decided.has(rid)))
  const pendingReleases = unitsOf(holding.filter(([rid]) => decided.get(rid) === 'gone'))
  const remaining = counts === 'NOT_READY' ? 0 : counts.stock
  return {
    ledger,
    redis: counts,
    inFlight,
    pendingReleases,
    drift: ledger.available - inFlight - pendingReleases - remaining,
  }
}

async function readRecords(redis: Redis, eventId: string): Promise<Map<string, UnitRecord>> {
  const raw = await redis.hgetall(spikeKeys(eventId).states)
  return new Map(Object.entries(raw).map(([rid, text]) => [rid, decodeRecord(text)]))
}

/** `live`: the rid has a pending or paid order; `gone`: it is void, or its order was closed. */
type Decision = 'live' | 'gone'

async function readLedger(
  knex: Knex,
  eventId: string,
): Promise<{ ledger: LedgerFacts; decided: Map<string, Decision> }> {
  return knex.transaction(
    async (trx) => {
      const { rows } = await trx.raw(LEDGER_SQL, { eventId })
      const reasons: { void_reason: string; count: number }[] = await trx('reservations')
        .where({ event_id: eventId, status: 'void' })
        .groupBy('void_reason')
        .select('void_reason', trx.raw('count(*)::int AS count'))
      const verdicts: { rid: string; live: boolean }[] = await trx('reservations as r')
        .leftJoin('orders as o', 'o.reservation_id', 'r.rid')
        .where('r.event_id', eventId)
        .whereNot('r.status', 'undecided')
        .select('r.rid', trx.raw(`coalesce(o.status IN ('pending', 'paid'), false) AS live`))
      const { undecided, ordered_rids: ordered, void: voids, ...numbers } = rows[0]
      return {
        ledger: {
          ...numbers,
          reservations: { undecided, ordered, void: voids },
          voidReasons: Object.fromEntries(reasons.map((row) => [row.void_reason, row.count])),
        },
        decided: new Map(verdicts.map(({ rid, live }) => [rid, live ? 'live' : 'gone'])),
      }
    },
    { isolationLevel: 'repeatable read', readOnly: true },
  )
}

const LEDGER_SQL = `
  WITH o AS (
    SELECT orders.*, spike_orders.quantity FROM orders
      JOIN spike_orders USING (reservation_id) WHERE orders.event_id = :eventId
  ), money AS (
    SELECT o.id, o.status,
           count(e.txn_id) FILTER (WHERE e.kind = 'captured') AS captures,
           count(r.id) AS refunds
      FROM o JOIN payments p ON p.order_id = o.id
      LEFT JOIN payment_events e ON e.payment_id = p.id
      LEFT JOIN refunds r ON r.provider = e.provider AND r.txn_id = e.txn_id
     GROUP BY o.id, o.status
  )
  SELECT
    event.granted, event.available,
    (SELECT coalesce(sum(quantity), 0) FROM o WHERE status IN ('pending', 'paid'))::int AS live,
    (SELECT coalesce(sum(delta), 0) FROM spike_event_adjustments WHERE event_id = event.id)::int AS ledger,
    (SELECT coalesce(sum(quantity), 0) FROM o)::int AS ordered,
    (SELECT coalesce(sum(quantity), 0) FROM o WHERE status = 'paid')::int AS paid,
    (SELECT coalesce(sum(quantity), 0) FROM o WHERE close_reason = 'lapsed')::int AS lapsed,
    (SELECT count(*) FROM reservations WHERE event_id = event.id AND status = 'undecided')::int AS undecided,
    (SELECT count(*) FROM reservations WHERE event_id = event.id AND status = 'ordered')::int AS ordered_rids,
    (SELECT count(*) FROM reservations WHERE event_id = event.id AND status = 'void')::int AS void,
    (SELECT count(*) FROM (SELECT FROM spike_orders WHERE event_id = event.id AND live
                            GROUP BY user_id HAVING count(*) > 1) d)::int AS "doubleClaims",
    (SELECT count(*) FROM (SELECT FROM o GROUP BY reservation_id HAVING count(*) > 1) d)::int AS "doubleOrders",
    (SELECT count(*) FROM (SELECT FROM outbox JOIN reservations r ON r.rid = outbox.key
                            WHERE topic = 'stock.released' AND r.event_id = event.id
                            GROUP BY key HAVING count(*) > 1) d)::int AS "doubleReleases",
    (SELECT count(*) FROM o WHERE paid_at IS NOT NULL AND closed_at IS NOT NULL)::int AS "paidAndClosed",
    (SELECT count(*) FROM money WHERE status = 'closed' AND captures > refunds)::int AS "capturedWithoutRefund",
    (SELECT count(*) FROM money WHERE captures - refunds > 1)::int AS "overCaptured",
    (SELECT count(*) FROM o WHERE status = 'pending' AND expires_at < now() - interval '10 s')::int AS overdue,
    (SELECT count(*) FROM o WHERE status = 'pending')::int AS pending,
    (SELECT count(*) FROM outbox WHERE published_at IS NULL)::int AS unpublished
  FROM spike_events event WHERE event.id = :eventId`
