/** Sales that are over for good, as time leaves them behind. */
import { SYSTEM } from '../../src/audit/audit.ts'
import { expireHolds } from '../../src/expire.ts'
import type { PaymentCallback } from '../../src/payments/callback.ts'
import { endSale } from '../../src/sale.ts'
import { createSale } from '../factories/sales.ts'
import { captureOf, lapse, orderUnits, reserveUnits, settle, type Claim } from './claims.ts'
import { accepted, type Ordered } from './reservations.ts'
import type { World } from './world.ts'

export interface SettledSale {
  eventId: string
  paid: Ordered
  /** Its money comes too late. */
  lapsed: Ordered
  lateMoney: PaymentCallback
  /** Given up without a verdict of create-order. */
  voided: Claim
}

/** An event with a paid order, a lapsed one and a void reservation, which has ended and given back what was free. */
export async function settledSale(world: World): Promise<SettledSale> {
  const eventId = await createSale(world, { stock: 4 })
  const [paid, lapsed] = (await orderUnits(world, eventId, 2)) as [Ordered, Ordered]
  const [voided] = (await reserveUnits(world, eventId, 1)) as [Claim]
  await expireHolds(world, [accepted(eventId, voided.userId, { rid: voided.rid })])
  await settle(world, await captureOf(world, paid))
  const lateMoney = await captureOf(world, lapsed)
  await lapse(world, lapsed)
  await world.scripts.release({ ...lapsed, reason: 'lapsed' })
  await endSale(world, eventId, SYSTEM)
  return { eventId, paid, lapsed, lateMoney, voided }
}

/** Lets days pass for an event that has ended, and for what it has left in the outbox, which the broker has. */
export async function letAge(world: World, eventId: string, days: number): Promise<void> {
  const { knex } = world
  await knex('spike_events')
    .where('id', eventId)
    .update({ ended_at: knex.raw('now() - make_interval(days => ?)', [days]) })
  await knex.raw(
    `UPDATE outbox SET published_at = now() - make_interval(days => :days) WHERE key IN (
       SELECT rid FROM reservations WHERE event_id = :eventId UNION SELECT id FROM orders WHERE event_id = :eventId)`,
    { eventId, days },
  )
}
