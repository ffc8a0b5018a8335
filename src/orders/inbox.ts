import type { Knex } from 'knex'
import type { ReservationAccepted } from '../contracts/messages/reservation-accepted.ts'
import type { VoidReason } from '../contracts/values.ts'

/** A reservation as it is received; with the trace that what happens to it joins, when it has one. */
export type Received = ReservationAccepted & { traceparent?: string | undefined }

/**
 * Writes reservations into the inbox as undecided; those that are there already stay as they are.
 * @returns how many are new
 */
export async function receiveReservations(knex: Knex, batch: readonly Received[]): Promise<number> {
  if (batch.length === 0) return 0
  const { rowCount } = await knex.raw(
    `INSERT INTO reservations (rid, event_id, user_id, quantity, epoch, reserved_at, request_id, traceparent)
     SELECT rid, event_id, user_id, quantity, epoch, to_timestamp(reserved_at_ms / 1000.0), request_id, traceparent
       FROM jsonb_to_recordset(?::jsonb) AS r
            (rid uuid, event_id uuid, user_id uuid, quantity int, epoch int, reserved_at_ms bigint, request_id text,
             traceparent text)
      ORDER BY rid
         ON CONFLICT DO NOTHING`,
    [JSON.stringify(batch)],
  )
  return rowCount
}

/** PostgreSQL's word on one rid. */
export interface ReservationRow {
  rid: string
  event_id: string
  user_id: string
  quantity: number
  status: 'undecided' | 'ordered' | 'void'
  void_reason: VoidReason | null
  order_id: string | null
  expires_at: Date | null
  order_status: 'pending' | 'paid' | 'closed' | 'refunded' | null
  close_reason: 'lapsed' | 'cancelled' | null
  /** Whether the claim holds its units still; null when there is none. */
  live: boolean | null
}

/**
 * The rows of these rids, with the orders that came of them; unknown rids are left out. The claim joins them: an
 * order that late money has bought again has a second rid.
 */
export function findReservations(knex: Knex, rids: readonly string[]): Promise<ReservationRow[]> {
  return knex('reservations as r')
    .leftJoin('spike_orders as s', 's.reservation_id', 'r.rid')
    .leftJoin('orders as o', 'o.id', 's.order_id')
    .whereRaw('r.rid = ANY(?::uuid[])', [[...rids]])
    .select(
      'r.rid',
      'r.event_id',
      'r.user_id',
      'r.quantity',
      'r.status',
      'r.void_reason',
      'o.id as order_id',
      'o.expires_at',
      'o.status as order_status',
      'o.close_reason',
      's.live',
    )
}

interface UndecidedPage {
  olderThanS: number
  /** Only those that were received before this one, if it is known. */
  before?: string | undefined
  limit: number
  /** The last rid of the page before. */
  after?: string | undefined
}

/** Reservations that wait for their verdict for longer than `olderThanS`, in the order of time. */
export function undecidedReservations(
  knex: Knex,
  { olderThanS, before, limit, after }: UndecidedPage,
): Promise<{ rid: string; traceparent: string | null }[]> {
  return knex('reservations')
    .where('status', 'undecided')
    .whereRaw(
      `received_at < least(now() - :olderThanS * interval '1 second',
                           (SELECT received_at FROM reservations WHERE rid = :before::uuid))`,
      { olderThanS, before: before ?? null },
    )
    .where((page) => after === undefined || page.where('rid', '>', after))
    .orderBy('rid')
    .limit(limit)
    .select('rid', 'traceparent')
}
