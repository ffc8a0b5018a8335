/**
 * The transitions of a spike event in PostgreSQL, one transaction each, each with its audit row.
 * Every function locks the event's row first; `moveInventory` locks the product's row after it.
 */
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { moveInventory } from '../products/inventory.ts'
import { SpikeEvent, type EventStatus } from './model.ts'

export type Transition =
  | { kind: 'done'; event: SpikeEvent }
  | { kind: 'not_found' }
  | { kind: 'wrong_state'; status: EventStatus }
  | { kind: 'insufficient_stock' }
  | { kind: 'window_over' }

export interface NewEvent {
  productId: string
  startAt: Date
  endAt: Date
  spikePrice: number
  stock: number
  paymentWindowS: number
  perUserLimit: number
  lapseLimit: number
}

/** Writes a draft. @returns `not_found` when there is no such product */
export function createEvent(knex: Knex, input: NewEvent, actor: Actor): Promise<Transition> {
  return knex.transaction(async (trx): Promise<Transition> => {
    const product = await trx('products').where({ id: input.productId, deleted_at: null }).first('currency')
    if (product === undefined) return { kind: 'not_found' }
    const event = await SpikeEvent.query(trx).insertAndFetch({
      id: uuidv7(),
      product_id: input.productId,
      start_at: input.startAt,
      end_at: input.endAt,
      spike_price: input.spikePrice,
      currency: product.currency,
      stock: input.stock,
      payment_window_s: input.paymentWindowS,
      per_user_limit: input.perUserLimit,
      lapse_limit: input.lapseLimit,
    })
    await recordAudit(trx, actor, 'spike-event.create', event.id, null, {
      status: 'draft',
      stock: event.stock,
    })
    return { kind: 'done', event }
  })
}

/** draft -> published: rings the stock off the product's inventory and starts the first epoch. */
export function publishEvent(knex: Knex, id: string, actor: Actor): Promise<Transition> {
  return transition(knex, id, ['draft'], actor, 'spike-event.publish', async (trx, event) => {
    const { rows } = await trx.raw('SELECT ?::timestamptz <= now() AS over', [event.end_at])
    if (rows[0].over) return { kind: 'window_over' }
    const granted = await moveInventory(trx, {
      productId: event.product_id,
      delta: -event.stock,
      reason: 'granted to spike event',
      reference: event.id,
      actorId: actor.userId,
    })
    if (!granted) return { kind: 'insufficient_stock' }
    await addAdjustment(trx, event.id, event.stock, 'published', actor, true)
    return { status: 'published', granted: event.stock, available: event.stock, epoch: event.epoch + 1 }
  })
}

export function pauseEvent(knex: Knex, id: string, actor: Actor): Promise<Transition> {
  return transition(knex, id, ['published'], actor, 'spike-event.pause', async () => ({ status: 'paused' }))
}

export function resumeEvent(knex: Knex, id: string, actor: Actor): Promise<Transition> {
  return transition(knex, id, ['paused'], actor, 'spike-event.resume', async () => ({ status: 'published' }))
}

/** -> ended. The units that are left go back to the inventory with `returnUnits`, when nothing is in flight. */
export function endEvent(knex: Knex, id: string, actor: Actor): Promise<Transition> {
  return transition(knex, id, ['published', 'paused'], actor, 'spike-event.end', async () => ({
    status: 'ended',
    ended_at: new Date(),
  }))
}

/** A row of the event's stock ledger that Redis has yet to apply. */
export interface Adjustment {
  id: string
  delta: number
}

/**
 * Gives the free units of an ended event back to the product's inventory. The caller knows that nothing is in
 * flight for this event. Does nothing when no unit is free.
 */
export function returnUnits(knex: Knex, id: string): Promise<Adjustment | undefined> {
  return knex.transaction(async (trx) => {
    const event = await SpikeEvent.query(trx).findById(id).forUpdate()
    if (event === undefined || event.status !== 'ended' || event.available === 0) return undefined
    const undecided = await trx('reservations').where({ event_id: id, status: 'undecided' }).first('rid')
    if (undecided !== undefined) return undefined
    const units = event.available
    await SpikeEvent.query(trx)
      .findById(id)
      .patch({ available: 0, granted: event.granted - units, updated_at: new Date() })
    const adjustment = await addAdjustment(trx, id, -units, 'returned to inventory', SYSTEM, false)
    const moved = await moveInventory(trx, {
      productId: event.product_id,
      delta: units,
      reason: 'returned from spike event',
      reference: id,
    })
    if (!moved) throw new Error(`product ${event.product_id} has no inventory row`)
    return adjustment
  })
}

/** Rows of an event's ledger that were committed but are not known to be in Redis. */
export function unappliedAdjustments(knex: Knex, eventId: string): Promise<Adjustment[]> {
  return knex('spike_event_adjustments')
    .where('event_id', eventId)
    .whereNull('applied_at')
    .orderBy('id')
    .select('id', 'delta')
}

export async function markAdjustmentApplied(knex: Knex, id: string): Promise<void> {
  await knex('spike_event_adjustments').where('id', id).update({ applied_at: knex.fn.now() })
}

export const SYSTEM: Actor = { userId: undefined, requestId: undefined }

type Changes = Partial<Pick<SpikeEvent, 'status' | 'granted' | 'available' | 'epoch' | 'ended_at'>>

function transition(
  knex: Knex,
  id: string,
  from: readonly EventStatus[],
  actor: Actor,
  action: string,
  decide: (trx: Knex.Transaction, event: SpikeEvent) => Promise<Changes | Transition>,
): Promise<Transition> {
  return knex.transaction(async (trx): Promise<Transition> => {
    const event = await SpikeEvent.query(trx).findById(id).forUpdate()
    if (event === undefined) return { kind: 'not_found' }
    if (!from.includes(event.status)) return { kind: 'wrong_state', status: event.status }
    const changes = await decide(trx, event)
    if ('kind' in changes) return changes
    const after = await SpikeEvent.query(trx).patchAndFetchById(id, {
      ...changes,
      version: event.version + 1,
      updated_at: new Date(),
    })
    await recordAudit(trx, actor, action, id, { status: event.status }, changes)
    return { kind: 'done', event: after }
  })
}

async function addAdjustment(
  trx: Knex.Transaction,
  eventId: string,
  delta: number,
  reason: string,
  actor: Actor,
  applied: boolean,
): Promise<Adjustment> {
  const id = uuidv7()
  await trx('spike_event_adjustments').insert({
    id,
    event_id: eventId,
    delta,
    reason,
    actor_id: actor.userId ?? null,
    applied_at: applied ? trx.fn.now() : null,
  })
  return { id, delta }
}
