/** The invariants of docs/architecture.md: those that the stores show, and those that take more to judge. */
import type { Knex } from 'knex'
import { judgeStores, type Facts, type Invariant } from '../../src/figures/invariants.ts'
import { findReservations } from '../../src/orders/inbox.ts'
import type { QueueFacts } from './queues.ts'

/** What the buyers' side of a sale noted: every rid that a client was told. */
export interface ClientLog {
  told: readonly string[]
}

/** Verdicts of the rids that clients were told, from PostgreSQL. */
export interface ToldFacts {
  told: number
  decided: number
  /** Of the decided ones: those that became an order. */
  ordered: number
  /** Orders of the event of whose rids no client was told any. */
  phantom: number
}

const ROWS_AT_ONCE = 5_000

export async function readTold(knex: Knex, eventId: string, { told }: ClientLog): Promise<ToldFacts> {
  const known = new Set(told)
  let decided = 0
  let ordered = 0
  for (let i = 0; i < told.length; i += ROWS_AT_ONCE) {
    const rows = await findReservations(knex, told.slice(i, i + ROWS_AT_ONCE))
    decided += rows.filter((row) => row.status !== 'undecided').length
    ordered += rows.filter((row) => row.status === 'ordered').length
  }
  const claims: { order_id: string; reservation_id: string }[] = await knex('spike_orders')
    .where('event_id', eventId)
    .select('order_id', 'reservation_id')
  const orders = new Set(claims.map((claim) => claim.order_id))
  for (const claim of claims) if (known.has(claim.reservation_id)) orders.delete(claim.order_id)
  return {
    told: known.size,
    decided,
    ordered,
    phantom: orders.size,
  }
}

/** @param plantedDeadLetters bad messages that the caller put there on purpose */
export function judge(
  facts: Facts,
  told: Omit<ToldFacts, 'ordered'>,
  queues: QueueFacts,
  plantedDeadLetters = 0,
): Invariant[] {
  const { unpublished } = facts.ledger
  return [
    ...judgeStores(facts),
    {
      name: '5 every rid that a client was told has its verdict',
      ok: told.told === told.decided && told.phantom === 0,
      numbers: `told ${told.told}, decided ${told.decided}, phantom orders ${told.phantom}`,
    },
    {
      name: '7 at rest: outbox and queues empty, no dead letters',
      ok: unpublished === 0 && queues.waiting === 0 && queues.deadLetters === plantedDeadLetters,
      numbers: `outbox ${unpublished}, in queues ${queues.waiting}, dead letters ${queues.deadLetters}`,
    },
  ].sort((a, b) => a.name.localeCompare(b.name))
}
