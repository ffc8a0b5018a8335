/** The invariants of the design (docs/architecture.md), judged on facts that were read from the stores. */
import type { Knex } from 'knex'
import { findReservations } from '../../src/orders/inbox.ts'
import type { Facts } from './facts.ts'
import type { QueueFacts } from './queues.ts'

export interface Invariant {
  name: string
  ok: boolean
  /** The numbers it was judged on. */
  numbers: string
}

/** What the buyers' side of a sale noted: every rid that a client was told. */
export interface ClientLog {
  told: readonly string[]
}

/** Verdicts of the rids that clients were told, from PostgreSQL. */
export interface ToldFacts {
  told: number
  decided: number
  /** Orders of the event whose rid no client was told. */
  phantom: number
}

const ROWS_AT_ONCE = 5_000

export async function readTold(knex: Knex, eventId: string, { told }: ClientLog): Promise<ToldFacts> {
  const known = new Set(told)
  let decided = 0
  for (let i = 0; i < told.length; i += ROWS_AT_ONCE) {
    const rows = await findReservations(knex, told.slice(i, i + ROWS_AT_ONCE))
    decided += rows.filter((row) => row.status !== 'undecided').length
  }
  const orders: { reservation_id: string }[] = await knex('orders')
    .where('event_id', eventId)
    .select('reservation_id')
  return {
    told: known.size,
    decided,
    phantom: orders.filter((order) => !known.has(order.reservation_id)).length,
  }
}

/** @param plantedDeadLetters bad messages that the caller put there on purpose */
export function judge(
  { ledger, redis, drift, inFlight, pendingReleases }: Facts,
  told: ToldFacts,
  queues: QueueFacts,
  plantedDeadLetters = 0,
): Invariant[] {
  const { granted: T, available: A, live } = ledger
  const oversold = Math.max(0, live - T)
  return [
    {
      name: '1 available + live = granted, nothing oversold',
      ok: A + live === T && A >= 0 && oversold === 0 && ledger.ledger === T,
      numbers: `A ${A} + live ${live} = T ${T}, ledger ${ledger.ledger}, oversold ${oversold}`,
    },
    judgeRedis(redis, T),
    {
      name: '3 drift is 0',
      ok: drift === 0,
      numbers: `A ${A} - in flight ${inFlight} - releasing ${pendingReleases} - R ${redis === 'NOT_READY' ? 0 : redis.stock} = ${drift}`,
    },
    {
      name: '4 one live claim a buyer, one order and one release a rid',
      ok: ledger.doubleClaims + ledger.doubleOrders + ledger.doubleReleases === 0,
      numbers: `double claims ${ledger.doubleClaims}, orders ${ledger.doubleOrders}, releases ${ledger.doubleReleases}`,
    },
    {
      name: '5 every rid that a client was told has its verdict',
      ok: told.told === told.decided && told.phantom === 0,
      numbers: `told ${told.told}, decided ${told.decided}, phantom orders ${told.phantom}`,
    },
    {
      name: '6 money: paid is never closed, captured and closed is refunded',
      ok: ledger.paidAndClosed + ledger.capturedWithoutRefund + ledger.overCaptured === 0,
      numbers: `paid and closed ${ledger.paidAndClosed}, not refunded ${ledger.capturedWithoutRefund}, captured twice ${ledger.overCaptured}`,
    },
    {
      name: '7 at rest: nothing overdue, queues empty, no dead letters',
      ok:
        ledger.overdue === 0 &&
        ledger.unpublished === 0 &&
        queues.waiting === 0 &&
        queues.deadLetters === plantedDeadLetters,
      numbers: `overdue ${ledger.overdue}, outbox ${ledger.unpublished}, in queues ${queues.waiting}, dead letters ${queues.deadLetters}`,
    },
  ]
}

function judgeRedis(redis: Facts['redis'], T: number): Invariant {
  const name = '2 redis: remaining + held + confirmed = granted'
  if (redis === 'NOT_READY') return { name, ok: false, numbers: 'no gate' }
  const held = redis.held + redis.queued
  const confirmed = redis.confirmed + redis.paid
  return {
    name,
    ok: redis.stock + held + confirmed === redis.granted && redis.granted === T,
    numbers: `R ${redis.stock} + held ${held} + confirmed ${confirmed} = T ${redis.granted}`,
  }
}
