/** Whether PostgreSQL has let go of a reservation's units: nobody else is believed before they go back to Redis. */
import type { Knex } from 'knex'
import type { ReleaseReason } from '../contracts/values.ts'
import { findReservations, type ReservationRow } from './inbox.ts'

/**
 * - `gone`: it was void, or its order was closed; what it held may be sold again
 * - `held`: it has a live claim, or waits for its verdict
 */
export type Hold =
  | {
      kind: 'gone'
      rid: string
      eventId: string
      userId: string
      quantity: number
      reason: ReleaseReason
    }
  | { kind: 'held' }
  | { kind: 'unknown' }

/** @returns one hold for each rid, in the order given */
export async function holdsOf(knex: Knex, rids: readonly string[]): Promise<Hold[]> {
  const rows = await findReservations(knex, rids)
  const holds = new Map(rows.map((row) => [row.rid, holdOf(row)]))
  return rids.map((rid) => holds.get(rid) ?? { kind: 'unknown' })
}

function holdOf(row: ReservationRow): Hold {
  const reason = reasonOf(row)
  if (reason === undefined) return { kind: 'held' }
  const { rid, event_id: eventId, user_id: userId, quantity } = row
  return { kind: 'gone', rid, eventId, userId, quantity, reason }
}

/** An order that late money has bought again has no reason any more; the claim that it lost had lapsed. */
function reasonOf(row: ReservationRow): ReleaseReason | undefined {
  if (row.status === 'void') return row.void_reason ?? undefined
  return row.live === false ? (row.close_reason ?? 'lapsed') : undefined
}
