import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import { readTouched, type Touched } from '../../src/figures/touched.ts'
import type { RebuildDependencies } from '../../src/rebuild.ts'
import type { SaleDependencies } from '../../src/sale.ts'
import type { LiveHub } from '../live/hub.ts'
import type { Numbers } from './numbers.tsx'

export interface ActionDependencies {
  knex: Knex
  /** The stock Redis. */
  redis: Redis
  sale: SaleDependencies
  rebuild: RebuildDependencies
  /** Counts requests while somebody watches the sale. */
  hub: Pick<LiveHub, 'look'>
}

/** A sale as an action finds it. */
export type Sale = Touched

/** @returns undefined when there is no such sale */
export function readSale(deps: ActionDependencies, eventId: string): Promise<Sale | undefined> {
  return readTouched(deps, eventId)
}

/** With what only some pages show; what does not answer is null. */
export async function readNumbers(deps: ActionDependencies, sale: Sale): Promise<Numbers> {
  const [view, backlog] = await Promise.all([
    deps.hub.look(sale.event.id).catch(() => undefined),
    deps.rebuild.backlog().catch(() => null),
  ])
  // A point of this chart is a moment, the free units, then requests a second by group.
  const rates = view?.latest.pulse?.slice(2) ?? []
  const known = rates.filter((rate) => rate !== null)
  const requestsPerS = known.length === 0 ? null : known.reduce((sum, rate) => sum + rate, 0)
  return { ...sale, requestsPerS, backlog }
}
