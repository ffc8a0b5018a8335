/** Buying units again for an order that lapsed, because its money came after all. */
import type { Knex } from 'knex'
import { moveInventory } from '../products/inventory.ts'

/** A closed order; the caller holds the lock of its row. */
export interface ClosedOrder {
  id: string
  user_id: string
  event_id: string | null
}

/** What the step that reserves knows of a sale. */
export interface SaleView {
  /** A new reservation's id, of an event for a buyer. */
  newRid: (eventId: string, userId: string) => string
  /**
   * Whether units are left that nobody has reserved. PostgreSQL does not know of reservations in flight, and their
   * buyers were in time: late money does not take from them.
   * @param earlier what late money has bought before, of which that step may not have heard yet
   */
  hasRoom: (eventId: string, units: number, earlier: readonly LateClaim[]) => Promise<boolean>
}

export interface LateClaim {
  rid: string
  quantity: number
}

/** Stands where the id of a request belongs; too short to be one that a buyer has sent. */
const REQUEST_ID = 'late'

/** The claim that the order has now; null for an ordinary order. */
export type Reacquired = { rid: string; eventId: string } | null

/**
 * Takes the order's units once more, if all of them are free, and makes the order paid. A unit of a sale gets a new
 * reservation, because a released rid is final: the outbox sends it the way of every other one, and Redis adopts it.
 * Lock order: the order (by the caller), the late money of the event, live claim, event or inventory.
 * @returns undefined when a unit is missing, the buyer has a live claim again, or the sale is over; nothing is
 * changed then
 */
export async function reacquireOrder(
  trx: Knex.Transaction,
  order: ClosedOrder,
  sale: SaleView,
): Promise<{ claim: Reacquired } | undefined> {
  const { event_id: eventId } = order
  const claim =
    eventId === null
      ? await retakeInventory(trx, order)
      : await reclaim(trx, order, sale, sale.newRid(eventId, order.user_id))
  if (claim === undefined) return undefined
  await trx('orders')
    .where('id', order.id)
    .update({ status: 'paid', close_reason: null, paid_at: trx.fn.now() })
  return { claim }
}

async function reclaim(
  trx: Knex.Transaction,
  order: ClosedOrder,
  sale: SaleView,
  rid: string,
): Promise<Reacquired | undefined> {
  const earlier = order.event_id === null ? [] : await lockLateMoney(trx, order.event_id)
  const { rows: claimed } = await trx.raw(
    `INSERT INTO spike_orders (reservation_id, event_id, user_id, order_id, quantity)
     SELECT :rid, event_id, user_id, order_id, quantity FROM spike_orders WHERE order_id = :orderId
      ORDER BY created_at DESC LIMIT 1
         ON CONFLICT DO NOTHING
     RETURNING event_id, quantity`,
    { rid, orderId: order.id },
  )
  const [claim] = claimed as { event_id: string; quantity: number }[]
  if (claim === undefined) return undefined
  // Asked before the event's row is taken, which other batches wait for.
  const room = await sale.hasRoom(claim.event_id, claim.quantity, earlier)
  if (!room || !(await takeUnits(trx, claim.event_id, claim.quantity))) {
    await trx('spike_orders').where('reservation_id', rid).delete()
    return undefined
  }
  await tellReservation(trx, rid)
  return { rid, eventId: claim.event_id }
}

/**
 * Lets one payment of an event at a time look for room, until the end of its transaction: two that see the same free
 * unit would take one from a buyer who was in time.
 * @returns what late money has bought lately; what it bought longer ago, Redis knows
 */
async function lockLateMoney(trx: Knex.Transaction, eventId: string): Promise<LateClaim[]> {
  await trx.raw('SELECT pg_advisory_xact_lock(hashtextextended(?, 0))', [`late-money:${eventId}`])
  return trx('reservations')
    .where({ event_id: eventId, request_id: REQUEST_ID })
    .andWhere('reserved_at', '>', trx.raw(`now() - interval '10 minutes'`))
    .select('rid', 'quantity')
}

async function takeUnits(trx: Knex.Transaction, eventId: string, units: number): Promise<boolean> {
  const taken = await trx('spike_events')
    .where('id', eventId)
    .whereIn('status', ['published', 'paused'])
    .andWhere('end_at', '>', trx.fn.now())
    .andWhere('available', '>=', units)
    .update({ available: trx.raw('available - ?', [units]) })
  return taken > 0
}

/** Writes the verdict of the new rid, and the message that brings it to Redis by way of bridge and create-order. */
async function tellReservation(trx: Knex.Transaction, rid: string): Promise<void> {
  await trx.raw(
    `WITH reservation AS (
       INSERT INTO reservations
              (rid, event_id, user_id, quantity, epoch, reserved_at, request_id, status, decided_at)
       SELECT s.reservation_id, s.event_id, s.user_id, s.quantity, e.epoch, now(), :requestId, 'ordered', now()
         FROM spike_orders s JOIN spike_events e ON e.id = s.event_id WHERE s.reservation_id = :rid
       RETURNING *
     )
     INSERT INTO outbox (topic, key, payload)
     SELECT 'reservation.accepted', rid, jsonb_build_object(
              'rid', rid, 'event_id', event_id, 'user_id', user_id, 'quantity', quantity, 'epoch', epoch,
              'reserved_at_ms', floor(extract(epoch FROM reserved_at) * 1000)::bigint, 'request_id', request_id)
       FROM reservation`,
    { rid, requestId: REQUEST_ID },
  )
}

/** All items or none: a savepoint takes back what the first ones took. */
async function retakeInventory(trx: Knex.Transaction, order: ClosedOrder): Promise<Reacquired | undefined> {
  const items: { product_id: string; quantity: number }[] = await trx('order_items')
    .where('order_id', order.id)
    .orderBy('product_id')
    .select('product_id', 'quantity')
  class Missing extends Error {}
  try {
    await trx.transaction(async (savepoint) => {
      for (const { product_id: productId, quantity } of items) {
        const move = { productId, delta: -quantity, reason: 'order paid late', reference: order.id }
        if (!(await moveInventory(savepoint, move))) throw new Missing()
      }
    })
    return null
  } catch (error) {
    if (error instanceof Missing) return undefined
    throw error
  }
}
