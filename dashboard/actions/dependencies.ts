import type { Knex } from 'knex'
import pLimit, { type LimitFunction } from 'p-limit'
import { SYSTEM } from '../../src/audit/audit.ts'
import { readTouched, type Touched } from '../../src/figures/touched.ts'
import type { RedisClient } from '../../src/platform/redis/nodes.ts'
import type { RebuildDependencies } from '../../src/rebuild.ts'
import { repairSale, type RepairResult } from '../../src/repair.ts'
import type { SaleDependencies } from '../../src/sale.ts'
import { keptByEvent, type KeptByEvent } from '../kept.ts'
import type { LiveHub } from '../live/hub.ts'
import type { Numbers } from './numbers.tsx'

export interface ActionDependencies {
  knex: Knex
  /** The stock Redis. */
  redis: RedisClient
  sale: SaleDependencies
  rebuild: RebuildDependencies
  /** Counts requests while somebody watches the sale. */
  hub: Pick<LiveHub, 'latest'>
}

/** With what all requests of one process share. */
export interface Actions extends ActionDependencies {
  /** Rebuilds and repairs: each holds a connection while it works with a second one, so one at a time. */
  mending: LimitFunction
  /** What a repair would find. */
  dryRuns: KeptByEvent<RepairResult>
}

const DRY_RUN_FRESH_MS = 5_000

export function withShared(deps: ActionDependencies): Actions {
  const look = (eventId: string) => repairSale(deps.rebuild, eventId, { dryRun: true }, SYSTEM)
  return { ...deps, mending: pLimit(1), dryRuns: keptByEvent(DRY_RUN_FRESH_MS, look) }
}

/** A sale as an action finds it. */
export type Sale = Touched

/** @returns undefined when there is no such sale */
export function readSale(deps: ActionDependencies, eventId: string): Promise<Sale | undefined> {
  return readTouched(deps, eventId)
}

/** With what only some pages show; what does not answer, or is not counted now, is null. */
export async function readNumbers(deps: ActionDependencies, sale: Sale): Promise<Numbers> {
  const backlog = await deps.rebuild.backlog().catch(() => null)
  // A point of this chart is a moment, the free units, then requests a second by group.
  const rates = deps.hub.latest(sale.event.id)?.latest.pulse?.slice(2) ?? []
  const known = rates.filter((rate) => rate !== null)
  const requestsPerS = known.length === 0 ? null : known.reduce((sum, rate) => sum + rate, 0)
  return { ...sale, requestsPerS, backlog }
}
