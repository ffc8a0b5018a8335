/** What a sale brought: the use case behind an operator's report. */
import type { Knex } from 'knex'
import { readFacts, type ConservationDependencies } from './conservation.ts'
import {
  readDecisionTimes,
  readMoney,
  readOrders,
  readPeakOrders,
  readPeakReservations,
  readStock,
  readTurnover,
  readVoids,
} from './figures/course.ts'
import { inSnapshot } from './figures/ledger.ts'
import { readOutcomes } from './reserve/outcome-counts.ts'
import { findEvent } from './spike-events/model.ts'

export type SaleReport = NonNullable<Awaited<ReturnType<typeof readReport>>>

/**
 * Reads a report; all that comes from PostgreSQL is of one snapshot.
 * @returns undefined when there is no such event
 */
export async function readReport(deps: ConservationDependencies, eventId: string) {
  const figures = await inSnapshot(deps.knex, (trx) => readFigures(trx, deps, eventId))
  return figures && { ...figures, outcomes: await readOutcomes(deps.redis, eventId) }
}

async function readFigures(trx: Knex.Transaction, deps: ConservationDependencies, eventId: string) {
  const event = await findEvent(trx, eventId)
  const facts = await readFacts(trx, deps, eventId)
  if (event === undefined || facts === undefined) return undefined
  return {
    event,
    facts,
    stock: await readStock(trx, eventId),
    orders: await readOrders(trx, eventId),
    money: await readMoney(trx, eventId),
    voids: await readVoids(trx, eventId),
    peakReservations: await readPeakReservations(trx, eventId),
    peakOrders: await readPeakOrders(trx, eventId),
    decisionTimes: await readDecisionTimes(trx, eventId),
    ...(await readTurnover(trx, eventId)),
  }
}
