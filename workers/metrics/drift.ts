/** What the reconcile loop has found last, and what it has mended. */
import { Counter, type Registry } from 'prom-client'
import { showGauge } from '../../src/platform/metrics.ts'
import type { Compared, ReconcileWatch } from '../sweep/reconcile.ts'

/**
 * An event is shown as long as passes compare it: one that is not followed any more, or that a pass could not read, is
 * not shown. For how long no pass has compared them all is a gauge of its own, from the start on.
 */
export function showDrift(registry: Registry): ReconcileWatch {
  let events: ReadonlyMap<string, Compared> = new Map()
  let comparedAt = performance.now()
  const repairs = new Counter({
    name: 'spike_repairs_total',
    help: 'What the reconcile loop has repaired, by kind of finding; rebuilds of a whole event are of kind rebuild.',
    labelNames: ['kind'],
    registers: [registry],
  })
  showGauge(
    registry,
    'spike_drift_units',
    'Units that the stores disagree on, by event, as the last two comparisons found.',
    {
      labels: ['event_id'],
      read: () => [...events].map(([id, { drift }]) => [{ event_id: id }, drift]),
    },
  )
  showGauge(
    registry,
    'spike_findings',
    'Faults that the last two comparisons have found, by event and kind.',
    {
      labels: ['event_id', 'kind'],
      read: () =>
        [...events].flatMap(([id, { findings }]) =>
          Object.entries(findings).map(([kind, count]) => [{ event_id: id, kind }, count] as const),
        ),
    },
  )
  showGauge(registry, 'spike_drift_age_seconds', 'Time since the stores of all events were compared.', {
    read: () => [[{}, (performance.now() - comparedAt) / 1_000]],
  })
  return {
    compared(found, isWhole) {
      events = found
      if (isWhole) comparedAt = performance.now()
    },
    repaired({ repaired, rebuilt }) {
      for (const [kind, count] of Object.entries(repaired)) repairs.inc({ kind }, count)
      if (rebuilt) repairs.inc({ kind: 'rebuild' })
    },
  }
}
