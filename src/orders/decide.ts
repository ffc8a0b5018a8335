/**
 * Step 4: PostgreSQL's verdict on a batch of reservations, in one transaction.
 *
 * Lock order, the same everywhere: reservations (by rid), live claims (by event and buyer), orders, then the
 * events' rows last, because every batch of a sale needs that one row: it is held for one round trip, or for two where
 * the batch is of several sales.
 */
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import type { VoidReason } from '../contracts/values.ts'
import { failpoint } from '../platform/failpoints.ts'
import { retryingTransaction } from '../platform/postgres/transaction.ts'
import { isTracing } from '../platform/telemetry/trace.ts'
import { findReservations, type ReservationRow } from './inbox.ts'
import { moveUnits } from './units.ts'

/** The one final word on a rid; `unknown` when no such reservation was ever received. */
export type Verdict =
  | {
      kind: 'ordered'
      rid: string
      eventId: string
      userId: string
      quantity: number
      orderId: string
      expiresAtMs: number
      /** The order is paid already. */
      paid: boolean
      /** The claim holds its units still; it does not once its order was closed. */
      live: boolean
    }
  | { kind: 'void'; rid: string; reason: VoidReason }
  | { kind: 'unknown'; rid: string }

interface Candidate {
  rid: string
  event_id: string
  user_id: string
  quantity: number
  status: ReservationRow['status']
  /** Why it can't become an order, whatever units there are. */
  refusal: VoidReason | null
}

type OrderInput = Candidate & { order_id: string }
type Refusal = { candidate: Candidate; reason: VoidReason }

/** Thrown inside the transaction, to roll it back, when an event has fewer units than the batch wants. */
class Scarce extends Error {}

/**
 * Writes the verdicts of a batch, or reads those that were written before: running it again changes nothing.
 *
 * The first attempt supposes that there are units for all and takes them conditionally at the
 * end. When there are not, everything is rolled back and run again with the event's row locked before the
 * units are dealt out, first reserved first served.
 * @returns one verdict for each rid, in the order given
 * @throws when PostgreSQL does not answer; nothing is decided then, or all of it is
 */
export async function decideReservations(knex: Knex, rids: readonly string[]): Promise<Verdict[]> {
  const run = (scarce: boolean) => retryingTransaction(knex, (trx) => decideBatch(trx, rids, scarce))
  const verdicts = await run(false).catch((error: unknown) => {
    if (error instanceof Scarce) return run(true)
    throw error
  })
  return rids.map((rid) => verdicts.get(rid) ?? { kind: 'unknown', rid })
}

async function decideBatch(
  trx: Knex.Transaction,
  rids: readonly string[],
  scarce: boolean,
): Promise<Map<string, Verdict>> {
  const candidates = await lockCandidates(trx, rids)
  const verdicts = await storedVerdicts(
    trx,
    candidates.filter((c) => c.status !== 'undecided'),
  )
  const undecided = candidates.filter((c) => c.status === 'undecided')
  const refusals = undecided.flatMap((candidate): Refusal[] =>
    candidate.refusal === null ? [] : [{ candidate, reason: candidate.refusal }],
  )
  const claimants = undecided.filter((c) => c.refusal === null).map((c) => ({ ...c, order_id: uuidv7() }))
  const claimed = await insertClaims(trx, claimants)
  const isClaimed = (input: OrderInput) => claimed.has(input.rid)
  refusals.push(
    ...refuse(
      claimants.filter((c) => !isClaimed(c)),
      'duplicate',
    ),
  )
  let winners = claimants.filter(isClaimed)
  if (scarce) {
    const { fitting, excess } = await dealOut(trx, winners)
    await dropClaims(trx, excess)
    refusals.push(...refuse(excess, 'sold_out'))
    winners = fitting
  }
  for (const verdict of await insertOrders(trx, winners)) verdicts.set(verdict.rid, verdict)
  for (const verdict of await writeVoids(trx, refusals)) verdicts.set(verdict.rid, verdict)
  await takeUnits(trx, winners)
  await failpoint('create-order.in-transaction')
  return verdicts
}

/**
 * Locks the inbox rows and reads what their verdict depends on. Price and limits are frozen once published. A buyer is
 * looked up by a query of its own for each row: as a join, the planner reads all users for a batch.
 */
async function lockCandidates(trx: Knex.Transaction, rids: readonly string[]): Promise<Candidate[]> {
  const { rows } = await trx.raw(
    `SELECT r.rid, r.event_id, r.user_id, r.quantity, r.status,
            CASE WHEN e.id IS NULL THEN 'unknown_event'
                 WHEN (SELECT disabled FROM users u WHERE u.id = r.user_id) IS NOT FALSE THEN 'unknown_buyer'
                 WHEN (SELECT count(*) FROM spike_orders s
                        WHERE s.event_id = r.event_id AND s.user_id = r.user_id AND NOT s.live) > e.lapse_limit
                 THEN 'lapse_limit' END AS refusal
       FROM reservations r
       LEFT JOIN spike_events e ON e.id = r.event_id AND e.status <> 'draft'
      WHERE r.rid = ANY(?::uuid[])
      ORDER BY r.rid
        FOR UPDATE OF r`,
    [[...rids]],
  )
  return rows
}

async function storedVerdicts(
  trx: Knex.Transaction,
  decided: readonly Candidate[],
): Promise<Map<string, Verdict>> {
  if (decided.length === 0) return new Map()
  const rows = await findReservations(
    trx,
    decided.map((c) => c.rid),
  )
  return new Map(rows.map((row) => [row.rid, verdictOf(row)]))
}

/** The verdict that a decided row tells. */
export function verdictOf(row: ReservationRow): Verdict {
  const { rid, void_reason: reason, order_id: orderId, expires_at: expiresAt } = row
  if (row.status === 'void' && reason !== null) return { kind: 'void', rid, reason }
  if (row.status !== 'ordered' || orderId === null || expiresAt === null)
    throw new Error(`reservation ${rid} is ${row.status} without what that needs`)
  return {
    kind: 'ordered',
    rid,
    eventId: row.event_id,
    userId: row.user_id,
    quantity: row.quantity,
    orderId,
    expiresAtMs: expiresAt.getTime(),
    paid: row.order_status === 'paid',
    live: row.live === true,
  }
}

function refuse(inputs: readonly OrderInput[], reason: VoidReason): Refusal[] {
  return inputs.map((candidate) => ({ candidate, reason }))
}

/** Takes the live claims, one a buyer and event. @returns the rids that got theirs */
async function insertClaims(trx: Knex.Transaction, inputs: readonly OrderInput[]): Promise<Set<string>> {
  if (inputs.length === 0) return new Set()
  const { rows } = await trx.raw(
    `INSERT INTO spike_orders (reservation_id, event_id, user_id, order_id, quantity)
     SELECT * FROM unnest(?::uuid[], ?::uuid[], ?::uuid[], ?::uuid[], ?::int[])
         AS i (rid, event_id, user_id, order_id, quantity)
      ORDER BY event_id, user_id, rid
         ON CONFLICT DO NOTHING
  RETURNING reservation_id`,
    [
      inputs.map((i) => i.rid),
      inputs.map((i) => i.event_id),
      inputs.map((i) => i.user_id),
      inputs.map((i) => i.order_id),
      inputs.map((i) => i.quantity),
    ],
  )
  return new Set(rows.map((row: { reservation_id: string }) => row.reservation_id))
}

/**
 * Locks the events' rows and deals their units out in the order of the rids, which is the order of time. The lock
 * leaves room for the key-share locks that the foreign keys of other batches' claims hold on these rows.
 */
async function dealOut(
  trx: Knex.Transaction,
  inputs: readonly OrderInput[],
): Promise<{ fitting: OrderInput[]; excess: OrderInput[] }> {
  const eventIds = [...new Set(inputs.map((i) => i.event_id))].sort()
  const rows: { id: string; available: number }[] = await trx('spike_events')
    .whereIn('id', eventIds)
    .orderBy('id')
    .forNoKeyUpdate()
    .select('id', 'available')
  const left = new Map(rows.map((row) => [row.id, row.available]))
  const fitting: OrderInput[] = []
  const excess: OrderInput[] = []
  for (const input of inputs.toSorted((a, b) => (a.rid < b.rid ? -1 : 1))) {
    const units = left.get(input.event_id) ?? 0
    if (units < input.quantity) excess.push(input)
    else {
      fitting.push(input)
      left.set(input.event_id, units - input.quantity)
    }
  }
  return { fitting, excess }
}

async function dropClaims(trx: Knex.Transaction, inputs: readonly OrderInput[]): Promise<void> {
  if (inputs.length > 0)
    await trx('spike_orders')
      .whereIn(
        'reservation_id',
        inputs.map((i) => i.rid),
      )
      .delete()
}

/**
 * Orders, their items, the verdicts and the outbox, in one round trip. One message tells of all orders with the same
 * deadline; while tracing is on, each has its own, because a message can be of one trace only.
 */
async function insertOrders(trx: Knex.Transaction, inputs: readonly OrderInput[]): Promise<Verdict[]> {
  if (inputs.length === 0) return []
  const { rows } = await trx.raw(
    `WITH input AS (
       SELECT i.*, e.product_id, e.spike_price, e.currency, now() + e.payment_window_s * interval '1 second' AS expires_at
         FROM unnest(:rids::uuid[], :orderIds::uuid[], :itemIds::uuid[], :eventIds::uuid[], :userIds::uuid[],
                     :quantities::int[]) AS i (rid, order_id, item_id, event_id, user_id, quantity)
         JOIN spike_events e ON e.id = i.event_id
     ), created AS (
       INSERT INTO orders (id, user_id, event_id, reservation_id, amount, currency, expires_at)
       SELECT order_id, user_id, event_id, rid, spike_price * quantity, currency, expires_at FROM input
       RETURNING id, floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_at_ms
     ), items AS (
       INSERT INTO order_items (id, order_id, product_id, quantity, unit_price)
       SELECT item_id, order_id, product_id, quantity, spike_price FROM input
     ), verdicts AS (
       UPDATE reservations SET status = 'ordered', decided_at = clock_timestamp() WHERE rid = ANY(:rids::uuid[])
     ), told AS (
       INSERT INTO outbox (topic, key, payload)
       SELECT 'order.created', ids[1],
              jsonb_strip_nulls(jsonb_build_object(
                'order_id', ids[1], 'expires_at_ms', expires_at_ms, 'others', nullif(ids[2:], '{}')))
         FROM (SELECT array_agg(id ORDER BY id) AS ids, expires_at_ms FROM created
                GROUP BY expires_at_ms, CASE WHEN :traced THEN id END) AS messages
     )
     SELECT id, expires_at_ms FROM created`,
    {
      rids: inputs.map((i) => i.rid),
      orderIds: inputs.map((i) => i.order_id),
      itemIds: inputs.map(() => uuidv7()),
      eventIds: inputs.map((i) => i.event_id),
      userIds: inputs.map((i) => i.user_id),
      quantities: inputs.map((i) => i.quantity),
      traced: isTracing(),
    },
  )
  const created = new Map<string, number>(
    rows.map((r: { id: string; expires_at_ms: number }) => [r.id, r.expires_at_ms]),
  )
  return inputs.map((i) => ({
    kind: 'ordered',
    rid: i.rid,
    eventId: i.event_id,
    userId: i.user_id,
    quantity: i.quantity,
    orderId: i.order_id,
    expiresAtMs: created.get(i.order_id) ?? 0,
    paid: false,
    live: true,
  }))
}

/** Writes void verdicts with the outbox rows that give the units back; committed before Redis hears of it. */
async function writeVoids(trx: Knex.Transaction, refusals: readonly Refusal[]): Promise<Verdict[]> {
  if (refusals.length === 0) return []
  const input = refusals.map(({ candidate, reason }) => ({
    rid: candidate.rid,
    event_id: candidate.event_id,
    user_id: candidate.user_id,
    quantity: candidate.quantity,
    reason,
  }))
  await trx.raw(
    `WITH input AS (
       SELECT * FROM jsonb_to_recordset(?::jsonb)
           AS i (rid uuid, event_id uuid, user_id uuid, quantity int, reason text)
     ), verdicts AS (
       UPDATE reservations r SET status = 'void', void_reason = reason, decided_at = clock_timestamp()
         FROM input WHERE r.rid = input.rid
     )
     INSERT INTO outbox (topic, key, payload)
     SELECT 'stock.released', rid, to_jsonb(input) FROM input WHERE reason <> 'unknown_event'`,
    [JSON.stringify(input)],
  )
  return input.map(({ rid, reason }) => ({ kind: 'void', rid, reason }))
}

/** The admission itself, last of all: a conditional decrement of each event. */
async function takeUnits(trx: Knex.Transaction, inputs: readonly OrderInput[]): Promise<void> {
  const wanted = new Map<string, number>()
  for (const { event_id: id, quantity } of inputs) wanted.set(id, (wanted.get(id) ?? 0) - quantity)
  if (!(await moveUnits(trx, wanted))) throw new Scarce()
}
