/**
 * The net, second half: reservations that the broker or PostgreSQL does not have, or whose verdict Redis has not heard
 * of. Reads only aged entries of the reservation log; on the usual way an entry lives for milliseconds.
 */
import type { Knex } from 'knex'
import type { ReservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { verdictOf } from '../../src/orders/decide.ts'
import { findReservations, type ReservationRow } from '../../src/orders/inbox.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import type { RedisClient } from '../../src/platform/redis/nodes.ts'
import { agedEntries, type LogEntry } from '../../src/reserve/log.ts'
import { endLogEntries } from '../../src/reserve/rebuilding.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'
import { followedEventIds } from '../../src/spike-events/model.ts'
import { applyOrdered } from '../create-order/handler.ts'
import { forEachEvent } from '../for-each-event.ts'
import type { Republisher } from './republisher.ts'

/** The usual way needs milliseconds; an API process waits 250 ms for its confirm. */
const AGED_MS = 2_000
/** What the broker has confirmed is in PostgreSQL by then, unless it waits in a backlog. */
export const STRAY_AFTER_MS = 10_000
const PAUSE_MS = 1_000
const PAGE = 200
/** Pages of one event in one pass; the next pass goes on behind them. */
const MAX_PAGES = 5

interface LogRelayDependencies {
  knex: Knex
  redis: RedisClient
  scripts: Pick<Scripts<typeof spikeScripts>, 'confirm' | 'markPaid' | 'release'>
  republisher: Republisher
  /** Reservations that wait in the broker, of all events. */
  backlog: () => Promise<number>
  log: Logger
}

/** @param pages for tests that have no thousands of entries */
export function logRelay(deps: LogRelayDependencies, pages = { size: PAGE, most: MAX_PAGES }): Loop {
  const log = deps.log.child({ step: 'relay', source: 'reservation-log' })
  /** Where the pass before has ended, by event: old entries that have to wait do not keep us from the others. */
  let places = new Map<string, string>()
  return new Loop(
    async () => {
      const eventIds = await followedEventIds(deps.knex)
      const reached = new Map<string, string>()
      await forEachEvent(eventIds, log, async (eventId) => {
        const place = await relayEvent({ ...deps, log }, eventId, places.get(eventId), pages)
        if (place !== undefined) reached.set(eventId, place)
      })
      places = reached
      return { more: false }
    },
    PAUSE_MS,
    log,
  )
}

/** @returns where the next pass goes on; undefined at the end of the log */
async function relayEvent(
  deps: LogRelayDependencies,
  eventId: string,
  from: string | undefined,
  pages: { size: number; most: number },
): Promise<string | undefined> {
  let place = from
  for (let page = 0; page < pages.most; page++) {
    const read = await agedEntries(deps.redis, eventId, {
      olderThanMs: AGED_MS,
      limit: pages.size,
      from: place,
    })
    if (read.unreadable.length > 0)
      deps.log.error({ eventId, unreadable: read.unreadable }, 'log entries that we did not write')
    const unsent = await relayEntries(deps, eventId, read.entries, read.nowMs)
    place = read.next
    // A broker that does not answer is not asked for every page: other events wait for their verdicts meanwhile.
    if (place === undefined || unsent > 0) break
  }
  return place
}

/** @returns how many reservations the broker did not take */
async function relayEntries(
  deps: LogRelayDependencies,
  eventId: string,
  entries: readonly LogEntry[],
  nowMs: number,
): Promise<number> {
  if (entries.length === 0) return 0
  const rows = await findReservations(
    deps.knex,
    entries.map((entry) => entry.rid),
  )
  const received = new Set(rows.map((row) => row.rid))
  // An undecided row is in PostgreSQL's hands, and the sweep looks after it.
  const decided = rows.filter((row) => row.status !== 'undecided')
  await Promise.all(decided.map((row) => applyVerdict(deps.scripts, row)))
  await endEntries(deps.redis, eventId, entries, decided)
  const missing = entries.filter((entry) => !received.has(entry.rid))
  const unsent = missing.filter((entry) => entry.state === 'held')
  unsent.push(...(await straysOf(deps, missing, nowMs)))
  const confirmed = await deps.republisher.republish(
    eventId,
    unsent.map((entry) => ({ message: messageOf(eventId, entry), traceparent: entry.traceparent })),
  )
  return unsent.length - confirmed.size
}

/** Applied verdicts have ended the entries that their records knew; this ends those of records that Redis has lost. */
async function endEntries(
  redis: RedisClient,
  eventId: string,
  entries: readonly LogEntry[],
  decided: readonly ReservationRow[],
): Promise<void> {
  const rids = new Set(decided.map((row) => row.rid))
  const ended = entries.filter((entry) => rids.has(entry.rid)).map((entry) => entry.logId)
  await endLogEntries(redis, eventId, ended)
}

/** PostgreSQL has let go of voids and closed orders before: their units go back, whoever tells Redis first. */
async function applyVerdict(scripts: LogRelayDependencies['scripts'], row: ReservationRow): Promise<void> {
  const verdict = verdictOf(row)
  if (verdict.kind === 'ordered' && verdict.live) return applyOrdered(scripts, [verdict])
  await scripts.release({
    eventId: row.event_id,
    rid: row.rid,
    userId: row.user_id,
    quantity: row.quantity,
    reason: row.void_reason ?? row.close_reason ?? 'lapsed',
  })
}

/**
 * Entries that the broker should have and PostgreSQL has never received, although nothing waits in the queue: the
 * broker has lost them, with a queue or with its disks. While anything waits, so may they. An entry whose record is gone
 * does not tell whether it was published.
 */
async function straysOf(
  { backlog, republisher }: LogRelayDependencies,
  missing: readonly LogEntry[],
  nowMs: number,
): Promise<LogEntry[]> {
  const aged = missing.filter(
    (entry) =>
      (entry.state === 'queued' || entry.state === undefined) &&
      nowMs - entry.reservedAtMs > STRAY_AFTER_MS &&
      !republisher.hasConfirmed(entry.rid),
  )
  if (aged.length === 0) return []
  const waiting = await backlog().catch(() => undefined) // a broker that does not answer may have them
  return waiting === 0 ? aged : []
}

function messageOf(eventId: string, entry: LogEntry): ReservationAccepted {
  return {
    rid: entry.rid,
    event_id: eventId,
    user_id: entry.userId,
    quantity: entry.quantity,
    epoch: entry.epoch,
    reserved_at_ms: entry.reservedAtMs,
    request_id: entry.requestId,
  }
}
