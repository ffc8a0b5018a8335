/**
 * The use cases that end a reservation which nobody will ever decide: its message is in none of the queues. PostgreSQL
 * is told first, so that a message which turns up after all can't become an order for a unit that went back.
 */
import type { Knex } from 'knex'
import type { ReservationAccepted } from './contracts/messages/reservation-accepted.ts'
import { expireReservations, isLongAgo } from './orders/expire.ts'
import { withFailpoint } from './platform/failpoints.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import { madeAtMs } from './reserve/rid.ts'
import type { spikeScripts } from './reserve/scripts.ts'

/** How long a reservation may be missing from PostgreSQL before it can be given up; G of the rules. */
export const GIVEN_UP_AFTER_MS = 60_000

/**
 * How long what is in no queue has had to come through. A consumer that hangs with a message in hand, where no depth of a
 * queue shows it, loses its connection within three heartbeats, and another one gets the message.
 */
export const SETTLED_MS = 40_000

/** What is written where the id of a request belongs, when nobody knows it any more. */
export const NO_REQUEST = 'unknown'

interface ExpireDependencies {
  knex: Knex
  scripts: Pick<Scripts<typeof spikeScripts>, 'release'>
}

/**
 * Makes held units void and gives them back at once; the outbox would do it too, after a detour.
 * @returns how many are void by this; the others have a verdict, or wait for it
 */
export async function expireHolds(
  { knex, scripts }: ExpireDependencies,
  holds: readonly ReservationAccepted[],
): Promise<number> {
  const expired = await withFailpoint('expire.after-commit', () => expireReservations(knex, holds))
  const released = holds
    .filter(({ rid }) => expired.has(rid))
    .map(({ rid, event_id: eventId, user_id: userId, quantity }) =>
      scripts.release({ eventId, rid, userId, quantity, reason: 'expired' }),
    )
  await Promise.all(released)
  return expired.size
}

interface LostDependencies {
  knex: Knex
  /** Reservations that wait in the broker, of all events. */
  backlog: () => Promise<number>
}

/**
 * Whether a reservation that no store knows any more, though it was made by us, is in the broker neither: Redis has lost
 * it before the broker had it. While it is young, or while anything waits there, it may be on its way.
 */
export async function isInNoQueue(
  { knex, backlog }: LostDependencies,
  rid: string,
  givenUpAfterMs: number,
): Promise<boolean> {
  if (!(await isLongAgo(knex, madeAtMs(rid), givenUpAfterMs / 1_000))) return false
  // A broker that does not answer may have it.
  return (await backlog().catch(() => undefined)) === 0
}

/** Makes a reservation void that no store and no queue knows. */
export async function expireLost(
  knex: Knex,
  lost: { rid: string; eventId: string; userId: string },
): Promise<void> {
  const tombstone: ReservationAccepted = {
    rid: lost.rid,
    event_id: lost.eventId,
    user_id: lost.userId,
    // Nobody knows how many units it was. Redis gives back what its own record says, and nothing without one.
    quantity: 1,
    epoch: 1,
    reserved_at_ms: madeAtMs(lost.rid),
    request_id: NO_REQUEST,
  }
  await expireReservations(knex, [tombstone])
}
