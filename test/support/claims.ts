/** Units on their way through both stores, step by step, without queues: Redis is told what a test wants it to know. */
import { expect } from 'chai'
import { closeLapsedOrders } from '../../src/orders/close.ts'
import { decideReservations, type Verdict } from '../../src/orders/decide.ts'
import { receiveReservations } from '../../src/orders/inbox.ts'
import { settlePayment } from '../../src/pay.ts'
import type { PaymentCallback } from '../../src/payments/callback.ts'
import { startPayment } from '../../src/payments/start.ts'
import { newRid } from './rids.ts'
import { accepted, buyerIds, letLapse, type Ordered } from './reservations.ts'
import type { World } from './world.ts'

const PROVIDER = 'simulated'

export interface Claim {
  eventId: string
  rid: string
  userId: string
  quantity: number
}

/** Takes units in Redis, one for each new buyer. */
export async function reserveUnits(world: World, eventId: string, count: number): Promise<Claim[]> {
  const userIds = await buyerIds(world, count)
  const claims = userIds.map((userId) => ({ eventId, rid: newRid(eventId), userId, quantity: 1 }))
  for (const claim of claims) {
    const { kind } = await world.scripts.reserve({ ...claim, requestId: 'test' })
    expect(kind).to.equal('accepted')
  }
  return claims
}

/** Puts claims into the inbox, undecided. */
export async function receiveClaims(world: World, claims: readonly Claim[]): Promise<void> {
  await receiveReservations(
    world.knex,
    claims.map(({ eventId, rid, userId, quantity }) => accepted(eventId, userId, { rid, quantity })),
  )
}

/** Verdicts of PostgreSQL on claims; Redis is not told. */
export async function decideClaims(world: World, claims: readonly Claim[]): Promise<Verdict[]> {
  await receiveClaims(world, claims)
  return decideReservations(
    world.knex,
    claims.map(({ rid }) => rid),
  )
}

/** Orders of one unit for new buyers, in PostgreSQL and in Redis. */
export async function orderUnits(world: World, eventId: string, count: number): Promise<Ordered[]> {
  const verdicts = await decideClaims(world, await reserveUnits(world, eventId, count))
  const orders = verdicts.filter((verdict) => verdict.kind === 'ordered')
  expect(orders).to.have.length(count)
  await world.scripts.confirm([{ eventId, orders }])
  return orders
}

/** The provider's word that the money of a pending order was taken, not yet told to us. */
export async function captureOf(world: World, { orderId, userId }: Ordered): Promise<PaymentCallback> {
  const start = await startPayment(world.knex, { orderId, userId, provider: PROVIDER })
  if (start.kind !== 'started') throw new Error(`payment not started: ${start.kind}`)
  const { paymentId, amount, currency } = start.payment
  return { txn_id: `txn-${paymentId}`, payment_id: paymentId, kind: 'captured', amount, currency }
}

/** Tells us that money was taken. @returns what came of it */
export function settle(world: World, capture: PaymentCallback) {
  return settlePayment(world, PROVIDER, capture)
}

/** Closes pending orders as if their deadline had passed; Redis is not told. */
export async function lapse(world: World, ...orders: Ordered[]): Promise<void> {
  const ids = orders.map(({ orderId }) => orderId)
  await letLapse(world.knex, ids)
  const closings = await closeLapsedOrders(world.knex, ids)
  expect(closings.map(({ kind }) => kind)).to.deep.equal(orders.map(() => 'closed'))
}
