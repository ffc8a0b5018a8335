/** What became of a reservation, for the buyer who holds its rid. */
import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import { CLOSE_REASONS, type ReleaseReason, type VoidReason } from './contracts/values.ts'
import { findReservations, type ReservationRow } from './orders/inbox.ts'
import type { Logger } from './platform/logger.ts'
import { spikeKeys } from './reserve/keys.ts'
import { decodeRecord, type UnitRecord } from './reserve/record.ts'
import { eventTag } from './reserve/rid.ts'
import { findEventIds } from './spike-events/model.ts'

export type Tracking =
  | { status: 'reserving' | 'queued' }
  | { status: 'ordered'; orderId: string; expiresAtMs: number }
  | { status: 'void'; reason: VoidReason }

interface TrackDependencies {
  redis: Redis
  knex: Knex
  log: Logger
}

/** Finds reservations by rid: in Redis while they are there, else in PostgreSQL. */
export class Tracker {
  readonly #deps: TrackDependencies
  /**
   * Events by the tag that their rids end with. Events are never renamed, so nothing is ever stale. Promises are
   * kept, because a sale's first buyers all ask at the same time and one query is enough for them.
   */
  readonly #eventsByTag = new Map<string, Promise<string[]>>()

  constructor(deps: TrackDependencies) {
    this.#deps = deps
  }

  /** @returns undefined for rids that are unknown or belong to another buyer */
  async find(rid: string, userId: string): Promise<Tracking | undefined> {
    const record = await this.#recordOf(rid)
    if (record !== undefined && record.userId !== userId) return undefined
    const tracking = record === undefined ? undefined : trackingOfRecord(record)
    if (tracking !== undefined) return tracking
    const [row] = await findReservations(this.#deps.knex, [rid])
    return row?.user_id === userId ? trackingOfRow(row) : undefined
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
