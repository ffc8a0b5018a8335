/**
 * Units that Redis holds for reservations which PostgreSQL has never received, found in the records themselves: the
 * reservation log may have lost its entry. They are published again, and given up only when they are in none of the
 * queues. Age alone never decides while a backlog exists.
 */
import type { Knex } from 'knex'
import type { ReservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { expireHolds, GIVEN_UP_AFTER_MS, NO_REQUEST, SETTLED_MS } from '../../src/expire.ts'
import { findReservations } from '../../src/orders/inbox.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import type { RedisClient } from '../../src/platform/redis/nodes.ts'
import { readGate } from '../../src/reserve/gate.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'
import { takenUnits, type TakenUnits } from '../../src/reserve/taken-units.ts'
import { followedEventIds } from '../../src/spike-events/model.ts'
import { forEachEvent } from '../for-each-event.ts'
import { STRAY_AFTER_MS } from '../relay/log-relay.ts'
import type { Republisher } from '../relay/republisher.ts'

interface StuckHoldsDependencies {
  knex: Knex
  redis: RedisClient
  scripts: Pick<Scripts<typeof spikeScripts>, 'release'>
  republisher: Republisher
  /** Reservations that wait in the broker, of all events. */
  backlog: () => Promise<number>
  log: Logger
}

interface Timing {
  pauseMs: number
  /** A pass walks over all records: the pause is so many times as long, so that it takes a small part of the time. */
  pauseByPass: number
  /** Age from which a unit is looked at. */
  strayAfterMs: number
  /** Age from which it may be given up. */
  givenUpAfterMs: number
  /** How long our own copy has had to come through. */
  settledMs: number
}

const TIMING: Timing = {
  pauseMs: 15_000,
  pauseByPass: 10,
  strayAfterMs: STRAY_AFTER_MS,
  givenUpAfterMs: GIVEN_UP_AFTER_MS,
  settledMs: SETTLED_MS,
}
/** Buyers wait, and a broker that does not answer makes passes long that walk over little. */
const MAX_PAUSE_MS = 60_000

/** What one pass knows of the broker. */
interface BrokerView {
  /** Messages that waited when it was asked; undefined when it does not tell. */
  waiting: number | undefined
  askedAt: number
  /** It did not take a single one of some copies: the others of this pass do not wait for their confirms as well. */
  isClosed: boolean
}

interface Hold {
  unit: TakenUnits
  message: ReservationAccepted
}

/** @param timing for tests, which have no minutes */
export function stuckHolds(deps: StuckHoldsDependencies, timing = TIMING): Loop {
  const log = deps.log.child({ step: 'sweep', part: 'stuck-holds' })
  /** Whoever receives reservations may have met the same failure, with messages in hand that no queue shows. */
  const orForget = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      deps.republisher.forget()
      throw error
    }
  }
  return new Loop(
    async () => {
      const began = performance.now()
      const eventIds = await orForget(() => followedEventIds(deps.knex))
      // Before PostgreSQL is asked for reservations: what leaves the queue in between is found there.
      const waiting = await deps.backlog().catch(() => undefined)
      const broker = { waiting, askedAt: began, isClosed: false }
      await forEachEvent(eventIds, log, (eventId) =>
        orForget(() => sweepEvent({ ...deps, log }, timing, eventId, broker)),
      )
      const pauseMs = Math.max(timing.pauseMs, (performance.now() - began) * timing.pauseByPass)
      return { more: false, pauseMs: Math.min(pauseMs, MAX_PAUSE_MS) }
    },
    timing.pauseMs,
    log,
  )
}

async function sweepEvent(
  deps: StuckHoldsDependencies,
  timing: Timing,
  eventId: string,
  broker: BrokerView,
): Promise<void> {
  const gate = await readGate(deps.redis, eventId)
  // A gate that is closed or missing belongs to a rebuild, which keeps what is in flight.
  if (gate === undefined || gate.status === 'closed') return
  for await (const units of takenUnits(deps.redis, eventId, timing.strayAfterMs)) {
    // What the broker has confirmed may wait there, or in a broker that does not tell.
    const suspects = units.filter(({ state }) => state === 'held' || broker.waiting === 0)
    const holds = (await notReceived(deps.knex, suspects)).map((unit) => ({
      unit,
      message: messageOf(eventId, gate.epoch, unit),
    }))
    await settle(deps, timing, eventId, holds, broker)
  }
}

async function notReceived(knex: Knex, units: readonly TakenUnits[]): Promise<TakenUnits[]> {
  if (units.length === 0) return []
  const rows = await findReservations(
    knex,
    units.map(({ rid }) => rid),
  )
  const received = new Set(rows.map(({ rid }) => rid))
  return units.filter(({ rid }) => !received.has(rid))
}

/**
 * Publishes holds once more, or gives them up:
 * - our own copy was confirmed long ago, the queue is empty, and it was not received: it is nowhere;
 * - the broker does not take it, is not known to have had it before, and nothing is known to wait there.
 */
async function settle(
  { knex, scripts, republisher, log }: StuckHoldsDependencies,
  timing: Timing,
  eventId: string,
  holds: readonly Hold[],
  broker: BrokerView,
): Promise<void> {
  const { waiting } = broker
  // The copy has to be older than the answer that nothing waits.
  const settledMs = timing.settledMs + performance.now() - broker.askedAt
  const isNowhere = ({ unit }: Hold) => waiting === 0 && republisher.hasConfirmed(unit.rid, settledMs)
  const nowhere = new Set(holds.filter(isNowhere))
  const unsent = holds.filter(
    (hold) => !nowhere.has(hold) && (hold.unit.state === 'held' || !republisher.hasConfirmed(hold.unit.rid)),
  )
  const confirmed = await republisher.republish(eventId, broker.isClosed ? [] : unsent)
  if (unsent.length > 0 && confirmed.size === 0) broker.isClosed = true
  const undeliverable = unsent.filter(({ unit }) => unit.state === 'held' && !confirmed.has(unit.rid))
  const hopeless = waiting === undefined || waiting === 0 ? [...nowhere, ...undeliverable] : []
  const stuck = hopeless.filter(({ unit }) => unit.ageMs > timing.givenUpAfterMs)
  if (stuck.length === 0) return
  const expired = await expireHolds(
    { knex, scripts },
    stuck.map(({ message }) => message),
  )
  log.warn({ eventId, expired, stuck: stuck.length }, 'held units were given up')
}

/** The request and its trace are named in the log, if that has an entry: the relay, which is sooner, takes them from there. */
function messageOf(eventId: string, epoch: number, unit: TakenUnits): ReservationAccepted {
  return {
    rid: unit.rid,
    event_id: eventId,
    user_id: unit.userId,
    quantity: unit.quantity,
    epoch,
    reserved_at_ms: unit.reservedAtMs,
    request_id: NO_REQUEST,
  }
}
