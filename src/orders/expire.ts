/** Verdicts on reservations that PostgreSQL has never received. */
import type { Knex } from 'knex'
import type { ReservationAccepted } from '../contracts/messages/reservation-accepted.ts'
import { retrying } from '../platform/postgres/transaction.ts'

/**
 * Writes reservations that were not received as void, with the outbox rows that give their units back; one statement,
 * so both or none. A reservation that was received meanwhile stays as it is, with its verdict or waiting for it; a
 * message that comes after this finds the void.
 * @returns the rids that are void by this
 */
export async function expireReservations(
  knex: Knex,
  reservations: readonly ReservationAccepted[],
): Promise<Set<string>> {
  if (reservations.length === 0) return new Set()
  const { rows } = await retrying(() =>
    knex.raw(
      `WITH expired AS (
         INSERT INTO reservations (rid, event_id, user_id, quantity, epoch, reserved_at, request_id,
                                   status, void_reason, decided_at)
         SELECT rid, event_id, user_id, quantity, epoch, to_timestamp(reserved_at_ms / 1000.0), request_id,
                'void', 'expired', clock_timestamp()
           FROM jsonb_to_recordset(?::jsonb) AS r
                (rid uuid, event_id uuid, user_id uuid, quantity int, epoch int, reserved_at_ms bigint, request_id text)
          ORDER BY rid
             ON CONFLICT DO NOTHING
         RETURNING rid, event_id, user_id, quantity, void_reason AS reason
       )
       INSERT INTO outbox (topic, key, payload)
       SELECT 'stock.released', rid, to_jsonb(expired) FROM expired
       RETURNING key`,
      [JSON.stringify(reservations)],
    ),
  )
  return new Set(rows.map((row: { key: string }) => row.key))
}

/** Whether a moment lies more than `seconds` in the past of PostgreSQL's clock. */
export async function isLongAgo(knex: Knex, momentMs: number, seconds: number): Promise<boolean> {
  const { rows } = await knex.raw(
    `SELECT to_timestamp(? / 1000.0) < now() - ? * interval '1 second' AS is_long_ago`,
    [momentMs, seconds],
  )
  return rows[0].is_long_ago
}
