/** What became of a reservation, for the buyer who holds its rid. */
import type { Knex } from 'knex'
import { CLOSE_REASONS, type ReleaseReason, type VoidReason } from './contracts/values.ts'
import { expireLost, GIVEN_UP_AFTER_MS, isInNoQueue, SETTLED_MS } from './expire.ts'
import { findReservations, type ReservationRow } from './orders/inbox.ts'
import type { Logger } from './platform/logger.ts'
import type { RedisClient } from './platform/redis/nodes.ts'
import { readGate } from './reserve/gate.ts'
import { spikeKeys } from './reserve/keys.ts'
import { decodeRecord, type UnitRecord } from './reserve/record.ts'
import { eventTag, isGenuineRid, type RidKey } from './reserve/rid.ts'
import { findEventIds } from './spike-events/model.ts'

export type Tracking =
  | { status: 'reserving' | 'queued' }
  | { status: 'ordered'; orderId: string; expiresAtMs: number }
  | { status: 'void'; reason: VoidReason }

interface TrackDependencies {
  redis: RedisClient
  knex: Knex
  /** Tells rids that were made here from made-up ones. */
  ridKey: RidKey
  /** Reservations that wait in the broker, of all events. */
  backlog: () => Promise<number>
  timing?: Timing
  log: Logger
}

interface Timing {
  /** Age from which a reservation that no store knows is given up. */
  givenUpAfterMs: number
  /** How long no queue may have had it. */
  settledMs: number
}

const TIMING: Timing = { givenUpAfterMs: GIVEN_UP_AFTER_MS, settledMs: SETTLED_MS }
/** Lost reservations whose wait is known; others wait until one of these has ended, or nobody has asked for it long. */
const MAX_LOST = 10_000
const FORGOTTEN_MS = 600_000

/**
 * Finds reservations by rid: in Redis while they are there, else in PostgreSQL. One that neither knows and that we have
 * made is waited for, and void in the end: whoever was given a rid gets a final answer.
 */
export class Tracker {
  readonly #deps: TrackDependencies
  /**
   * Events by the tag that their rids end with. Events are never renamed, so nothing is ever stale. Promises are
   * kept, because a sale's first buyers all ask at the same time and one query is enough for them.
   */
  readonly #eventsByTag = new Map<string, Promise<string[]>>()
  /** Since when lost reservations are known to be in no queue, by a clock that never jumps. */
  readonly #inNoQueueSince = new Map<string, number>()

  constructor(deps: TrackDependencies) {
    this.#deps = deps
  }

  /** @returns undefined for rids that are unknown or belong to another buyer */
  async find(rid: string, userId: string): Promise<Tracking | undefined> {
    const record = await this.#recordOf(rid)
    if (record !== undefined && record.userId !== userId) return undefined
    const tracking = record === undefined ? undefined : trackingOfRecord(record)
    if (tracking !== undefined) return tracking
    const received = await this.#received(rid, userId)
    if (received !== undefined || !isGenuineRid(rid, userId, this.#deps.ridKey)) return received
    return (await this.#giveUp(rid, userId)) ? this.#received(rid, userId) : { status: 'reserving' }
  }

  async #received(rid: string, userId: string): Promise<Tracking | undefined> {
    const [row] = await findReservations(this.#deps.knex, [rid])
    return row?.user_id === userId ? trackingOfRow(row) : undefined
  }

  /** @returns whether PostgreSQL has a word on the rid now */
  async #giveUp(rid: string, userId: string): Promise<boolean> {
    const eventId = await this.#lostBy(rid)
    if (eventId === undefined) return false
    const { knex, timing = TIMING } = this.#deps
    if (!(await isInNoQueue(this.#deps, rid, timing.givenUpAfterMs))) {
      this.#inNoQueueSince.delete(rid)
      return false
    }
    if (this.#inNoQueueForMs(rid) < timing.settledMs) return false
    await expireLost(knex, { rid, userId, eventId })
    this.#inNoQueueSince.delete(rid)
    return true
  }

  #inNoQueueForMs(rid: string): number {
    const now = performance.now()
    const since = this.#inNoQueueSince.get(rid)
    if (since !== undefined) return now - since
    const [oldest] = this.#inNoQueueSince
    if (oldest !== undefined && now - oldest[1] > FORGOTTEN_MS) this.#inNoQueueSince.delete(oldest[0])
    if (this.#inNoQueueSince.size < MAX_LOST) this.#inNoQueueSince.set(rid, now)
    return 0
  }

  /** Ids of the events that a rid may belong to: nearly always one, none for a rid that nobody was given. */
  eventsOf(rid: string): Promise<string[]> {
    const tag = eventTag(rid)
    const known = this.#eventsByTag.get(tag)
    if (known !== undefined) return known
    const found = findEventIds(this.#deps.knex, tag)
    this.#eventsByTag.set(tag, found)
    const forget = () => this.#eventsByTag.delete(tag)
    found.then((ids) => ids.length === 0 && forget(), forget)
    return found
  }

  async #recordOf(rid: string): Promise<UnitRecord | undefined> {
    for (const eventId of await this.eventsOf(rid)) {
      try {
        const text = await this.#deps.redis.hget(spikeKeys(eventId).states, rid)
        if (text !== null) return decodeRecord(text)
      } catch (error) {
        this.#deps.log.warn({ err: error, rid }, 'reservation not read from redis, asking postgres')
      }
    }
    return undefined
  }

  /** The event whose state in Redis is there without the rid; undefined while Redis may know it. */
  async #lostBy(rid: string): Promise<string | undefined> {
    const { redis, log } = this.#deps
    let lostBy: string | undefined
    for (const eventId of await this.eventsOf(rid)) {
      try {
        const gate = await readGate(redis, eventId)
        // A gate that is closed or missing belongs to a rebuild, which may bring the rid back.
        if (gate === undefined || gate.status === 'closed') return undefined
        if ((await redis.hexists(spikeKeys(eventId).states, rid)) === 1) return undefined
      } catch (error) {
        log.warn({ err: error, rid }, 'redis does not tell whether it has lost a reservation')
        return undefined
      }
      lostBy = eventId
    }
    return lostBy
  }
}

/** @returns undefined for a tombstone, which knows the rid and nothing of its order */
function trackingOfRecord(record: UnitRecord): Tracking | undefined {
  const { state, reason, orderId, expiresAtMs } = record
  if (state === 'held') return { status: 'reserving' }
  if (state === 'queued') return { status: 'queued' }
  if (orderId !== undefined && expiresAtMs !== undefined) return { status: 'ordered', orderId, expiresAtMs }
  if (reason !== undefined && isVoidReason(reason)) return { status: 'void', reason }
  return undefined
}

function trackingOfRow(row: ReservationRow): Tracking {
  if (row.status === 'undecided') return { status: 'queued' }
  if (row.status === 'void' && row.void_reason !== null) return { status: 'void', reason: row.void_reason }
  if (row.order_id === null || row.expires_at === null) throw new Error(`rid ${row.rid} has no order`)
  return { status: 'ordered', orderId: row.order_id, expiresAtMs: row.expires_at.getTime() }
}

function isVoidReason(reason: ReleaseReason): reason is VoidReason {
  return !(CLOSE_REASONS as readonly string[]).includes(reason)
}
