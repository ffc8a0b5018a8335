/** All metrics of the workers. */
import type { Knex } from 'knex'
import { FLOW } from '../../src/figures/lag.ts'
import { countPublishes, createRegistry } from '../../src/platform/metrics.ts'
import { showDrift } from './drift.ts'
import { countBridged, countJobs, countRemoved } from './work.ts'

export type WorkersMetrics = ReturnType<typeof createWorkersMetrics>

export function createWorkersMetrics(knex: Knex) {
  const registry = createRegistry('workers', knex)
  return {
    registry,
    publishes: countPublishes(registry),
    jobs: countJobs(
      registry,
      FLOW.map(({ step }) => step),
    ),
    bridge: countBridged(registry),
    reconcile: showDrift(registry),
    removed: countRemoved(registry),
  }
}
