/** Whether every unit of a sale is accounted for: the invariants as numbers, from PostgreSQL and Redis. */
import type { Knex } from 'knex'
import { readHoldings } from './figures/holdings.ts'
import type { Facts } from './figures/invariants.ts'
import { inSnapshot, readLedger } from './figures/ledger.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import type { RedisClient } from './platform/redis/nodes.ts'
import type { spikeScripts } from './reserve/scripts.ts'

export interface ConservationDependencies {
  knex: Knex
  redis: RedisClient
  scripts: Pick<Scripts<typeof spikeScripts>, 'countUnits'>
}

/** @returns undefined when there is no such event */
export function readConservation(
  deps: ConservationDependencies,
  eventId: string,
): Promise<Facts | undefined> {
  return inSnapshot(deps.knex, (trx) => readFacts(trx, deps, eventId))
}

/**
 * PostgreSQL's numbers are of one snapshot and Redis's counts of one read, but Redis goes on between the two: while
 * a sale runs, drift may be seen where there is none. The snapshot comes first, so that what is decided after it
 * still counts as in flight.
 */
export async function readFacts(
  trx: Knex.Transaction,
  { redis, scripts }: Omit<ConservationDependencies, 'knex'>,
  eventId: string,
): Promise<Facts | undefined> {
  const ledger = await readLedger(trx, eventId)
  if (ledger === undefined) return undefined
  const counts = await scripts.countUnits({ eventId })
  const holdings = await readHoldings(trx, redis, eventId)
  const { inFlight, pendingReleases } = holdings
  const drift = counts === 'NOT_READY' ? null : ledger.available - inFlight - pendingReleases - counts.stock
  return { ledger, redis: counts, ...holdings, drift }
}
