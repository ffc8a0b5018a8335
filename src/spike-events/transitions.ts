/**
 * The life of a spike event in PostgreSQL, one transaction a step, each with its audit row.
 * Every function locks the event's row first; `moveInventory` locks the product's row after it.
 */
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { findMade, noteMade } from '../platform/postgres/once.ts'
import { moveInventory } from '../products/inventory.ts'
import { addAdjustment } from './ledger.ts'
import { lockEvent, SpikeEvent, type EventStatus } from './model.ts'

type Done = { kind: 'done'; event: SpikeEvent }
type NoProduct = { kind: 'no_product'; productId: string }

export type Creation = Done | NoProduct
export type Transition = Done | { kind: 'not_found' } | { kind: 'wrong_state'; status: EventStatus }
export type Publication = Transition | NoProduct | { kind: 'insufficient_stock' } | { kind: 'window_over' }

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

/** Writes a draft in the currency of its product. @returns `no_product` when that is unknown or deleted */
export function createEvent(knex: Knex, input: NewEvent, actor: Actor): Promise<Creation> {
  const request = { userId: actor.userId, operation: 'spike-event.create', key: actor.idempotencyKey }
  const id = uuidv7()
  return knex.transaction(async (trx): Promise<Creation> => {
    const product = await lockProduct(trx, input.productId)
    const made = (await findMade(trx, request)) ?? (product && (await noteMade(trx, request, id)))
    const earlier = made === undefined ? undefined : await SpikeEvent.query(trx).findById(made)
    if (earlier !== undefined) return { kind: 'done', event: earlier }
    if (product === undefined) return { kind: 'no_product', productId: input.productId }
    const event = await SpikeEvent.query(trx).insertAndFetch({
      id,
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
export function publishEvent(knex: Knex, id: string, actor: Actor): Promise<Publication> {
  return knex.transaction(async (trx): Promise<Publication> => {
    const event = await lockEvent(trx, id)
    if (event === undefined) return { kind: 'not_found' }
    const { status, product_id: productId, stock } = event
    if (status !== 'draft') return { kind: 'wrong_state', status }
    const { rows } = await trx.raw('SELECT ?::timestamptz <= now() AS over', [event.end_at])
    if (rows[0].over) return { kind: 'window_over' }
    if ((await lockProduct(trx, productId)) === undefined) return { kind: 'no_product', productId }
    const granted = await moveInventory(trx, {
      productId,
      delta: -stock,
      reason: 'granted to spike event',
      reference: id,
      actorId: actor.userId,
    })
    if (!granted) return { kind: 'insufficient_stock' }
    const adjustment = { eventId: id, delta: stock, reason: 'published', actorId: actor.userId }
    await addAdjustment(trx, { ...adjustment, applied: true })
    const changes = { status: 'published', granted: stock, available: stock, epoch: event.epoch + 1 } as const
    return change(trx, event, changes, actor, 'spike-event.publish')
  })
}

export function pauseEvent(knex: Knex, id: string, actor: Actor): Promise<Transition> {
  return step(knex, id, ['published'], { status: 'paused' }, actor, 'spike-event.pause')
}

export function resumeEvent(knex: Knex, id: string, actor: Actor): Promise<Transition> {
  return step(knex, id, ['paused'], { status: 'published' }, actor, 'spike-event.resume')
}

/** -> ended. The units that are left go back to the inventory with `returnUnits`, when nothing is in flight. */
export function endEvent(knex: Knex, id: string, actor: Actor): Promise<Transition> {
  const changes = { status: 'ended', ended_at: new Date() } as const
  return step(knex, id, ['published', 'paused'], changes, actor, 'spike-event.end')
}

type Changes = Partial<Pick<SpikeEvent, 'status' | 'granted' | 'available' | 'epoch' | 'ended_at'>>

function step(
  knex: Knex,
  id: string,
  from: readonly EventStatus[],
  changes: Changes,
  actor: Actor,
  action: string,
): Promise<Transition> {
  return knex.transaction(async (trx): Promise<Transition> => {
    const event = await lockEvent(trx, id)
    if (event === undefined) return { kind: 'not_found' }
    if (!from.includes(event.status)) return { kind: 'wrong_state', status: event.status }
    return change(trx, event, changes, actor, action)
  })
}

/** The caller holds the lock of the event's row. */
async function change(
  trx: Knex.Transaction,
  event: SpikeEvent,
  changes: Changes,
  actor: Actor,
  action: string,
): Promise<Done> {
  const after = await SpikeEvent.query(trx).patchAndFetchById(event.id, {
    ...changes,
    version: event.version + 1,
    updated_at: new Date(),
  })
  await recordAudit(trx, actor, action, event.id, { status: event.status }, changes)
  return { kind: 'done', event: after }
}

/** Holds a product against deletion until the end of the transaction; undefined when it is gone. */
async function lockProduct(trx: Knex.Transaction, id: string): Promise<{ currency: string } | undefined> {
  return trx('products').where({ id, deleted_at: null }).forShare().first('currency')
}
