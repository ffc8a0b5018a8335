/**
 * The net, second half: reservations whose publish was not confirmed, or whose verdict Redis has not heard of.
 * Reads only aged entries of the reservation log; on the usual way an entry lives for milliseconds.
 */
import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import { findReservations } from '../../src/orders/inbox.ts'
import { verdictOf } from '../../src/orders/decide.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'
import type { ConfirmPublisher } from '../../src/platform/rabbitmq/publisher.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import { publishReservation } from '../../src/publish/publish-reservation.ts'
import { agedEntries, type LogEntry } from '../../src/reserve/log.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'
import { followedEventIds } from '../../src/spike-events/model.ts'
import { applyOrdered } from '../create-order/handler.ts'
import { forEachEvent } from '../for-each-event.ts'

/** The usual way needs milliseconds; an API process waits 250 ms for its confirm. */
const AGED_MS = 2_000
const MAX_ENTRIES = 200
const PAUSE_MS = 1_000
const CONFIRM_WAIT_MS = 5_000

interface LogRelayDependencies {
  knex: Knex
  redis: Redis
  scripts: Pick<Scripts<typeof spikeScripts>, 'confirm' | 'markPaid' | 'markQueued'>
  publisher: ConfirmPublisher
  log: Logger
}

export function logRelay(deps: LogRelayDependencies): Loop {
  const log = deps.log.child({ step: 'relay', source: 'reservation-log' })
  return new Loop(
    async () => {
      const eventIds = await followedEventIds(deps.knex)
      await forEachEvent(eventIds, log, (eventId) => relayEvent({ ...deps, log }, eventId))
      return { more: false }
    },
    PAUSE_MS,
    log,
  )
}

async function relayEvent(deps: LogRelayDependencies, eventId: string): Promise<void> {
  const { entries, unreadable } = await agedEntries(deps.redis, eventId, AGED_MS, MAX_ENTRIES)
  if (unreadable.length > 0) deps.log.error({ eventId, unreadable }, 'log entries that we did not write')
  if (entries.length === 0) return
  const rows = await findReservations(
    deps.knex,
    entries.map((entry) => entry.rid),
  )
  const received = new Set(rows.map((row) => row.rid))
  // Voids come back by the outbox. An undecided row is in PostgreSQL's hands, and the sweep looks after it.
  for (const row of rows) {
    if (row.status !== 'ordered') continue
    const verdict = verdictOf(row)
    if (verdict.kind === 'ordered') await applyOrdered(deps.scripts, verdict)
  }
  // `queued` means that the broker has it: publishing again would only add to a backlog that it waits in.
  const unsent = entries.filter((entry) => !received.has(entry.rid) && entry.state === 'held')
  const confirmed = await publishAll(deps, eventId, unsent)
  if (confirmed.length > 0) await deps.scripts.markQueued({ eventId, rids: confirmed })
  if (unsent.length > 0)
    deps.log.info(
      { eventId, unsent: unsent.length, confirmed: confirmed.length },
      'reservations published again',
    )
}

async function publishAll(
  deps: LogRelayDependencies,
  eventId: string,
  entries: readonly LogEntry[],
): Promise<string[]> {
  const outcomes = await Promise.all(
    entries.map((entry) =>
      publishReservation(
        deps.publisher,
        {
          rid: entry.rid,
          event_id: eventId,
          user_id: entry.userId,
          quantity: entry.quantity,
          epoch: entry.epoch,
          reserved_at_ms: entry.reservedAtMs,
          request_id: entry.requestId,
        },
        CONFIRM_WAIT_MS,
      ),
    ),
  )
  return entries.filter((_entry, i) => outcomes[i] === 'confirmed').map((entry) => entry.rid)
}
