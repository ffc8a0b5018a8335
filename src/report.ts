/** What a sale brought: the use case behind an operator's report. */
import type { Knex } from 'knex'
import { readFacts, type ConservationDependencies } from './conservation.ts'
import {
  readActions,
  readCourse,
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
import { readOutcomes, readRejectedPeak } from './reserve/outcome-counts.ts'
import { findEvent } from './spike-events/model.ts'

export type SaleReport = NonNullable<Awaited<ReturnType<typeof readReport>>>

/**
 * Reads a report; all that comes from PostgreSQL is of one snapshot.
 * @returns undefined when there is no such event
 */
export async function readReport(deps: ConservationDependencies, eventId: string) {
  const figures = await inSnapshot(deps.knex, (trx) => readFigures(trx, deps, eventId))
  if (figures === undefined) return undefined
  const [outcomes, rejectedPeak] = await Promise.all([
    readOutcomes(deps.redis, eventId),
    readRejectedPeak(deps.redis, eventId),
  ])
  return { ...figures, outcomes, rejectedPeak }
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
    course: await readCourse(trx, eventId),
    actions: await readActions(trx, eventId),
    ...(await readTurnover(trx, eventId)),
  }
}
