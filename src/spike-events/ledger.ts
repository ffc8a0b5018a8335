/**
 * The ledger of an event's granted units. Every change of them is one transaction in PostgreSQL: the event's row,
 * a row of the ledger and the product's inventory. Redis applies each row later, once, by its id.
 */
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { findMade, noteMade } from '../platform/postgres/once.ts'
import { moveInventory } from '../products/inventory.ts'
import { lockEvent, MAX_GRANTED, SpikeEvent, type EventStatus } from './model.ts'

/** A row of the ledger, as far as Redis has to know it. */
export interface Adjustment {
  id: string
  delta: number
}

export type StockChange =
  | { kind: 'done'; adjustment: Adjustment; granted: number; available: number }
  | { kind: 'not_found' }
  | { kind: 'wrong_state'; status: EventStatus }
  | { kind: 'insufficient_stock' }
  | { kind: 'too_few_free'; available: number }
  | { kind: 'stock_limit'; granted: number }

/**
 * Moves units between a running event and its product's inventory: `delta` > 0 grants more, `delta` < 0 takes
 * units back that no order has. Reservations that have no verdict yet don't count as orders.
 */
export function adjustStock(
  knex: Knex,
  id: string,
  change: { delta: number; reason: string },
  actor: Actor,
): Promise<StockChange> {
  const { delta, reason } = change
  const request = { userId: actor.userId, operation: 'spike-event.stock', key: actor.idempotencyKey }
  return knex.transaction(async (trx): Promise<StockChange> => {
    const event = await lockEvent(trx, id)
    if (event === undefined) return { kind: 'not_found' }
    const { status, granted, available } = event
    const made = await findMade(trx, request)
    if (made !== undefined) return { kind: 'done', adjustment: { id: made, delta }, granted, available }
    if (status !== 'published' && status !== 'paused') return { kind: 'wrong_state', status }
    if (event.available + delta < 0) return { kind: 'too_few_free', available: event.available }
    if (event.granted + delta > MAX_GRANTED) return { kind: 'stock_limit', granted: event.granted }
    const direction = delta > 0 ? 'granted to' : 'returned from'
    const moved = await moveInventory(trx, {
      productId: event.product_id,
      delta: -delta,
      reason: `${direction} spike event`,
      reference: id,
      actorId: actor.userId,
    })
    if (!moved) return { kind: 'insufficient_stock' }
    const units = await grant(trx, event, delta)
    const adjustment = await addAdjustment(trx, { eventId: id, delta, reason, actorId: actor.userId })
    await noteMade(trx, request, adjustment.id)
    await recordAudit(
      trx,
      actor,
      'spike-event.stock',
      id,
      { granted, available },
      { ...units, delta, reason },
    )
    return { kind: 'done', adjustment, ...units }
  })
}

/**
 * Gives the free units of an ended event back to the product's inventory. The caller knows that nothing is in
 * flight for this event. Does nothing when no unit is free.
 */
export function returnUnits(knex: Knex, id: string): Promise<Adjustment | undefined> {
  return knex.transaction(async (trx) => {
    const event = await lockEvent(trx, id)
    if (event === undefined || event.status !== 'ended' || event.available === 0) return undefined
    const undecided = await trx('reservations').where({ event_id: id, status: 'undecided' }).first('rid')
    if (undecided !== undefined) return undefined
    const units = event.available
    await grant(trx, event, -units)
    const adjustment = await addAdjustment(trx, {
      eventId: id,
      delta: -units,
      reason: 'returned to inventory',
    })
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

/** The caller holds the lock of the event's row, as it was read. */
async function grant(
  trx: Knex.Transaction,
  event: SpikeEvent,
  delta: number,
): Promise<{ granted: number; available: number }> {
  const units = { granted: event.granted + delta, available: event.available + delta }
  await SpikeEvent.query(trx)
    .findById(event.id)
    .patch({ ...units, version: event.version + 1, updated_at: new Date() })
  return units
}

interface NewAdjustment {
  eventId: string
  delta: number
  reason: string
  actorId?: string | undefined
  /** True for the units that a gate is opened with. */
  applied?: true
}

export async function addAdjustment(trx: Knex.Transaction, input: NewAdjustment): Promise<Adjustment> {
  const { eventId, delta, reason, actorId, applied } = input
  const id = uuidv7()
  await trx('spike_event_adjustments').insert({
    id,
    event_id: eventId,
    delta,
    reason,
    actor_id: actorId ?? null,
    applied_at: applied ? trx.fn.now() : null,
  })
  return { id, delta }
}

/** Units of the rows that Redis is known to have: what a gate opens with. The other rows follow by their ids. */
export async function appliedUnits(knex: Knex, eventId: string): Promise<number> {
  const { rows } = await knex.raw(
    `SELECT coalesce(sum(delta), 0) AS units FROM spike_event_adjustments
      WHERE event_id = ? AND applied_at IS NOT NULL`,
    [eventId],
  )
  return rows[0].units
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
