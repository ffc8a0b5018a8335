/** Whether a process can do its work now. */
import type { Registry } from 'prom-client'
import { showGauge } from './metrics.ts'
import { withinTime } from './time-limit.ts'

/** A dependency that is silent counts as down. */
const CHECK_WITHIN_MS = 2_000

export interface Readiness {
  /** False from the moment the process is told to stop. */
  accepting: () => boolean
  /** One check a dependency; each rejects when it can't be used. */
  checks: Record<string, () => Promise<unknown>>
}

export interface ReadinessReport {
  ready: boolean
  checks: Record<string, 'ok' | 'down'>
}

/** Those who ask while it is looked into get the same report, so that asking often costs the dependencies little. */
export function readinessReporter({ accepting, checks }: Readiness): () => Promise<ReadinessReport> {
  const names = Object.keys(checks)
  const look = async (): Promise<ReadinessReport> => {
    const results = await Promise.allSettled(
      Object.values(checks).map((check) => withinTime(check(), CHECK_WITHIN_MS)),
    )
    const found = names.map((name, i) => [name, results[i]?.status === 'fulfilled' ? 'ok' : 'down'] as const)
    return {
      ready: accepting() && found.every(([, state]) => state === 'ok'),
      checks: Object.fromEntries(found),
    }
  }
  let looking: Promise<ReadinessReport> | undefined
  return () => (looking ??= look().finally(() => (looking = undefined)))
}

/** Shows each dependency as it is at the scrape. */
export function showDependencies(registry: Registry, report: () => Promise<ReadinessReport>): void {
  showGauge(registry, 'spike_dependency_up', 'Whether the process can use it: 1, or 0.', {
    labels: ['dependency'],
    read: async () =>
      Object.entries((await report()).checks).map(([dependency, state]) => [
        { dependency },
        state === 'ok' ? 1 : 0,
      ]),
  })
}
