import type { Knex } from 'knex'
import { Model } from 'objection'

export const EVENT_STATUSES = ['draft', 'published', 'paused', 'ended'] as const
export type EventStatus = (typeof EVENT_STATUSES)[number]

/** Units that one event may grant, in the draft or by adjustments. */
export const MAX_GRANTED = 1_000_000

/** Row of `spike_events`; prices in minor units. `granted` is T and `available` is A of the invariants. */
export class SpikeEvent extends Model {
  static override get tableName(): string {
    return 'spike_events'
  }
  declare id: string
  declare product_id: string
  declare status: EventStatus
  declare start_at: Date
  declare end_at: Date
  declare spike_price: number
  declare currency: string
  declare stock: number
  declare granted: number
  declare available: number
  declare payment_window_s: number
  declare per_user_limit: number
  declare lapse_limit: number
  declare epoch: number
  declare version: number
  declare opened_at: Date | null
  declare ended_at: Date | null
  declare created_at: Date
  declare updated_at: Date
}

/** What buyers see of an event: `published` and `live` are told apart by the database's clock. */
export const EVENT_STATES = ['draft', 'published', 'live', 'paused', 'ended'] as const
export type EventState = (typeof EVENT_STATES)[number]

/** With what the database's clock says of it. */
export type SpikeEventView = SpikeEvent & { state: EventState; server_time: Date }

const STATE_SQL = `CASE
  WHEN status IN ('draft', 'ended') THEN status
  WHEN end_at <= now() THEN 'ended'
  WHEN status = 'published' AND start_at <= now() THEN 'live'
  ELSE status END`
const VIEW_SQL = `${STATE_SQL} AS state, now() AS server_time`

/** One event with its state, or undefined. */
export async function findEvent(knex: Knex, id: string): Promise<SpikeEventView | undefined> {
  return (await SpikeEvent.query(knex).findById(id).select('*', knex.raw(VIEW_SQL))) as
    SpikeEventView | undefined
}

/** Fields that a list of events may be sorted by. */
export const EVENT_SORTS = ['start_at', 'end_at', 'spike_price'] as const

export interface EventPage {
  page: number
  pageSize: number
  sort: (typeof EVENT_SORTS)[number]
  direction: 'asc' | 'desc'
  state: EventState | undefined
  productId: string | undefined
  currency: string | undefined
}

/** One page of events. Drafts are left out unless they are what is asked for. */
export async function listEvents(
  knex: Knex,
  { page, pageSize, sort, direction, state, productId, currency }: EventPage,
): Promise<{ items: SpikeEventView[]; total: number }> {
  const query = SpikeEvent.query(knex).select('*', knex.raw(VIEW_SQL))
  if (state === undefined) query.whereNot('status', 'draft')
  else query.whereRaw(`${STATE_SQL} = ?`, [state])
  if (productId !== undefined) query.where('product_id', productId)
  if (currency !== undefined) query.where('currency', currency)
  const { results, total } = await query
    .orderBy([{ column: sort, order: direction }, { column: 'id' }])
    .page(page - 1, pageSize)
  return { items: results as SpikeEventView[], total }
}

/**
 * Locks an event's row for its transaction and reads it. The lock leaves room for the key-share locks that the
 * claims of running batches hold on the row.
 */
export function lockEvent(trx: Knex.Transaction, id: string): Promise<SpikeEvent | undefined> {
  return SpikeEvent.query(trx).findById(id).forNoKeyUpdate().execute()
}

/** What the API tells of an event; `remaining` is Redis's prediction, null when it tells none. */
export function presentEvent(event: SpikeEventView, remaining: number | null) {
  return {
    id: event.id,
    product_id: event.product_id,
    state: event.state,
    start_at: event.start_at.toISOString(),
    end_at: event.end_at.toISOString(),
    spike_price: event.spike_price,
    currency: event.currency,
    stock: event.status === 'draft' ? event.stock : event.granted,
    remaining: remaining === null ? null : Math.max(0, remaining),
    payment_window_s: event.payment_window_s,
    per_user_limit: event.per_user_limit,
    lapse_limit: event.lapse_limit,
    version: event.version,
    server_time: event.server_time.toISOString(),
  }
}

/** Ids of the events whose rids end with this tag: nearly always one. */
export async function findEventIds(knex: Knex, tag: string): Promise<string[]> {
  const rows: { id: string }[] = await knex('spike_events')
    .whereNot('status', 'draft')
    .andWhereRaw('right(id::text, 8) = ?', [tag])
    .select('id')
  return rows.map((row) => row.id)
}

/**
 * Events that background work looks after: those on sale, and ended ones with free units or open orders, which
 * still have something to give back.
 */
export async function followedEventIds(knex: Knex): Promise<string[]> {
  const rows: { id: string }[] = await knex('spike_events')
    .whereIn('status', ['published', 'paused'])
    .orWhere((ended) =>
      ended
        .where('status', 'ended')
        .andWhere((unsettled) =>
          unsettled
            .where('available', '>', 0)
            .orWhereRaw(`ended_at > now() - interval '1 hour'`)
            .orWhereRaw(
              `EXISTS (SELECT FROM orders o WHERE o.event_id = spike_events.id AND o.status = 'pending')`,
            ),
        ),
    )
    .select('id')
  return rows.map((row) => row.id)
}

/**
 * A page of the events that have ended so many days ago, in the order of their ids.
 * @param after the last id of the page before
 */
export async function endedEventIds(
  knex: Knex,
  { days, limit, after }: { days: number; limit: number; after: string | undefined },
): Promise<string[]> {
  const rows: { id: string }[] = await knex('spike_events')
    .where('status', 'ended')
    .whereRaw('ended_at < now() - make_interval(days => ?)', [days])
    .where((page) => after === undefined || page.where('id', '>', after))
    .orderBy('id')
    .limit(limit)
    .select('id')
  return rows.map((row) => row.id)
}

/** Events on sale whose window is over by PostgreSQL's clock. */
export async function overdueEventIds(knex: Knex): Promise<string[]> {
  const rows: { id: string }[] = await knex('spike_events')
    .whereIn('status', ['published', 'paused'])
    .andWhere('end_at', '<=', knex.fn.now())
    .select('id')
  return rows.map((row) => row.id)
}
