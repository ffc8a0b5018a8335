/** Reservations in the inbox, made as the bridge makes them, and the invariants that hold for their event. */
import { expect } from 'chai'
import type { Knex } from 'knex'
import type { ReservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { decideReservations, type Verdict } from '../../src/orders/decide.ts'
import { receiveReservations } from '../../src/orders/inbox.ts'
import { newRid } from './rids.ts'
import { createBuyers } from '../factories/accounts.ts'
import type { World } from './world.ts'

/** The message that tells of a taken unit. */
export function accepted(
  eventId: string,
  userId: string,
  input: Partial<ReservationAccepted> = {},
): ReservationAccepted {
  return {
    rid: newRid(eventId),
    event_id: eventId,
    user_id: userId,
    quantity: 1,
    epoch: 1,
    reserved_at_ms: Date.now(),
    request_id: 'test',
    ...input,
  }
}

/** One undecided reservation for each buyer. @returns their rids, in the order of time */
export async function receive(
  world: World,
  eventId: string,
  userIds: readonly string[],
  input: Partial<ReservationAccepted> = {},
): Promise<string[]> {
  const batch = userIds.map((userId) => accepted(eventId, userId, input))
  await receiveReservations(world.knex, batch)
  return batch.map(({ rid }) => rid).sort()
}

export async function buyerIds(world: World, count: number): Promise<string[]> {
  return (await createBuyers(world, count)).map((buyer) => buyer.user_id)
}

export type Ordered = Extract<Verdict, { kind: 'ordered' }>

/** Orders of one unit for new buyers. */
export async function order(world: World, eventId: string, count: number): Promise<Ordered[]> {
  const rids = await receive(world, eventId, await buyerIds(world, count))
  const verdicts = await decideReservations(world.knex, rids)
  const ordered = verdicts.filter((verdict) => verdict.kind === 'ordered')
  if (ordered.length < count) throw new Error(`only ${ordered.length} of ${count} were ordered`)
  return ordered
}

/** Moves the deadlines of these orders into the past. */
export async function letLapse(knex: Knex, orderIds: readonly string[]): Promise<void> {
  await knex('orders')
    .whereIn('id', orderIds)
    .update({ expires_at: knex.raw(`now() - interval '1 second'`) })
}

/** How many verdicts there are of each kind or, for voids, of each reason. */
export function tally(verdicts: readonly Verdict[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const verdict of verdicts) {
    const name = verdict.kind === 'void' ? verdict.reason : verdict.kind
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

/** A + Live = T and A >= 0, and every ledger adds up, in one snapshot. @returns A */
export async function expectConserved(knex: Knex, eventId: string): Promise<number> {
  const { rows } = await knex.raw(
    `SELECT e.available, e.granted, i.stock,
            (SELECT coalesce(sum(s.quantity), 0)::int FROM spike_orders s
              WHERE s.event_id = e.id AND s.live) AS claimed,
            (SELECT coalesce(sum(t.quantity), 0)::int FROM orders o JOIN order_items t ON t.order_id = o.id
              WHERE o.event_id = e.id AND o.status IN ('pending', 'paid')) AS live,
            (SELECT coalesce(sum(delta), 0)::int FROM spike_event_adjustments a WHERE a.event_id = e.id) AS ledger,
            (SELECT coalesce(sum(delta), 0)::int FROM inventory_movements m
              WHERE m.product_id = e.product_id) AS moved
       FROM spike_events e JOIN inventory i ON i.product_id = e.product_id
      WHERE e.id = ?`,
    [eventId],
  )
  const [{ available, granted, stock, claimed, live, ledger, moved }] = rows
  expect(available, 'A').to.be.at.least(0)
  expect(available + live, 'A + Live').to.equal(granted)
  expect(claimed, 'units of live claims').to.equal(live)
  expect(ledger, 'sum of the event’s ledger').to.equal(granted)
  expect(moved, 'sum of the product’s ledger').to.equal(stock)
  return available
}

/** What the outbox rows of one topic are about. */
export async function toldOf(knex: Knex, topic: 'order.created' | 'stock.released'): Promise<string[]> {
  const rows: { key: string; payload: { others?: string[] } }[] = await knex('outbox')
    .where({ topic })
    .orderBy('id')
    .select('key', 'payload')
  return rows.flatMap(({ key, payload: { others = [] } }) => [key, ...others])
}
