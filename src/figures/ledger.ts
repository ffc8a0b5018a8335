/** What PostgreSQL says of the units, the claims and the money of one event. */
import type { Knex } from 'knex'

/** Numbers of one snapshot: units, except where a name says otherwise. */
export interface LedgerFacts {
  /** T and A of the event. */
  granted: number
  available: number
  /** Units of live claims; those of pending and of paid orders. */
  live: number
  pending: number
  paid: number
  /** Sum of the event's stock ledger. */
  ledger: number
  /** Units of all claims there ever were, and of orders that lapsed. */
  ordered: number
  lapsed: number
  /** Numbers of reservations, by verdict. */
  reservations: { undecided: number; ordered: number; void: number }
  /** Buyers with more than one live claim; orders with more than one; rids with more than one release. */
  doubleClaims: number
  doubleOrders: number
  doubleReleases: number
  /** Open orders without a live claim, live claims without an open order, claims whose rid is not ordered. */
  strayClaims: number
  /** Orders that break the rules about money. */
  paidAndClosed: number
  capturedWithoutRefund: number
  overCaptured: number
  /** Orders pending more than 10 s past their deadline. */
  overdue: number
  /** Rows of the outbox, of all events, that the broker is not known to have. */
  unpublished: number
  /** When the snapshot was taken, by PostgreSQL's clock. */
  asOf: Date
}

/** Runs reads that have to agree with each other: they all see the state that the first one has seen. */
export function inSnapshot<T>(knex: Knex, read: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
  return knex.transaction(read, { isolationLevel: 'repeatable read', readOnly: true })
}

/** @returns undefined when there is no such event */
export async function readLedger(trx: Knex.Transaction, eventId: string): Promise<LedgerFacts | undefined> {
  const { rows } = await trx.raw(LEDGER_SQL, { eventId })
  if (rows.length === 0) return undefined
  const { undecided, orderedRids, voidRids, ...facts } = rows[0]
  return { ...facts, reservations: { undecided, ordered: orderedRids, void: voidRids } }
}

// Live claims and others have an index each, and PostgreSQL takes both for a question that names both.
// A claim, not the rid that an order began with, is what holds units: an order that late money has bought again has
// a second one.
const LEDGER_SQL = `
  WITH claims AS (
    SELECT s.reservation_id AS rid, s.order_id, s.user_id, s.quantity, s.live, o.status
      FROM spike_orders s LEFT JOIN orders o ON o.id = s.order_id
     WHERE s.event_id = :eventId AND (s.live OR NOT s.live)
  ), money AS (
    SELECT o.id, o.status,
           count(e.txn_id) FILTER (WHERE e.kind = 'captured') AS captures,
           count(r.id) FILTER (WHERE e.kind = 'captured') AS refunds
      FROM orders o JOIN payments p ON p.order_id = o.id
      LEFT JOIN payment_events e ON e.payment_id = p.id
      LEFT JOIN refunds r ON r.provider = e.provider AND r.txn_id = e.txn_id
     WHERE o.event_id = :eventId
     GROUP BY o.id, o.status
  ), claimed AS (
    SELECT coalesce(sum(quantity), 0)::int AS ordered,
           coalesce(sum(quantity) FILTER (WHERE live), 0)::int AS live,
           coalesce(sum(quantity) FILTER (WHERE live AND status = 'pending'), 0)::int AS pending,
           coalesce(sum(quantity) FILTER (WHERE live AND status = 'paid'), 0)::int AS paid,
           count(*) FILTER (WHERE live AND status NOT IN ('pending', 'paid') OR status IS NULL)::int AS strays
      FROM claims
  ), ordered AS (
    SELECT count(*) FILTER (WHERE status = 'paid' AND (close_reason IS NOT NULL OR paid_at IS NULL))::int
             AS "paidAndClosed",
           count(*) FILTER (WHERE status = 'pending' AND expires_at < now() - interval '10 s')::int AS overdue
      FROM orders WHERE event_id = :eventId
  ), decided AS (
    SELECT count(*) FILTER (WHERE status = 'undecided')::int AS undecided,
           count(*) FILTER (WHERE status = 'ordered')::int AS "orderedRids",
           count(*) FILTER (WHERE status = 'void')::int AS "voidRids"
      FROM reservations WHERE event_id = :eventId
  )
  SELECT
    event.granted, event.available, claimed.ordered, claimed.live, claimed.pending, claimed.paid,
    decided.*, ordered.*, now() AS "asOf",
    (SELECT coalesce(sum(delta), 0) FROM spike_event_adjustments WHERE event_id = event.id)::int AS ledger,
    (SELECT coalesce(sum(c.quantity), 0) FROM claims c JOIN orders o ON o.id = c.order_id
      WHERE NOT c.live AND o.close_reason = 'lapsed')::int AS lapsed,
    (SELECT count(*) FROM (SELECT FROM claims WHERE live GROUP BY user_id HAVING count(*) > 1) d)::int
      AS "doubleClaims",
    (SELECT count(*) FROM (SELECT FROM claims WHERE live GROUP BY order_id HAVING count(*) > 1) d)::int
      AS "doubleOrders",
    (SELECT count(*) FROM (SELECT FROM outbox JOIN reservations r ON r.rid = outbox.key
                            WHERE topic = 'stock.released' AND r.event_id = event.id
                            GROUP BY key HAVING count(*) > 1) d)::int AS "doubleReleases",
    (claimed.strays
      + (SELECT count(*) FROM orders o WHERE o.event_id = event.id AND o.status IN ('pending', 'paid')
            AND NOT EXISTS (SELECT FROM claims c WHERE c.order_id = o.id AND c.live))
      + (SELECT count(*) FROM claims c LEFT JOIN reservations r USING (rid)
          WHERE r.status IS DISTINCT FROM 'ordered'))::int AS "strayClaims",
    (SELECT count(*) FROM money WHERE status = 'closed' AND captures > refunds)::int AS "capturedWithoutRefund",
    (SELECT count(*) FROM money WHERE captures - refunds > 1)::int AS "overCaptured",
    (SELECT count(*) FROM outbox WHERE published_at IS NULL)::int AS unpublished
  FROM spike_events event, claimed, ordered, decided WHERE event.id = :eventId`
