import { withinTime } from '../../platform/time-limit.ts'
import type { serviceRoutes } from '../contract/service.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

/** A dependency that is silent counts as down. */
const CHECK_WITHIN_MS = 2_000

export interface Readiness {
  /** False from the moment the process is told to stop. */
  accepting: () => boolean
  /** One check a dependency; each rejects when it can't be used. */
  checks: Record<string, () => Promise<unknown>>
}

export function serviceHandlers(deps: { readiness: Readiness }): HandlersOf<typeof serviceRoutes> {
  return {
    healthz: async () => ({ status: 200, data: { status: 'ok' } }),
    readyz: async () => {
      const { ready, checks } = await check(deps.readiness)
      return ready
        ? { status: 200, data: { status: 'ready', checks } }
        : { status: 503, data: { status: 'not_ready', checks } }
    },
    metrics: async () => refuse('NOT_READY'),
    openapi: async () => refuse('NOT_READY'),
    docs: async () => refuse('NOT_READY'),
    docsAsset: async () => refuse('NOT_READY'),
  }
}

async function check(readiness: Readiness) {
  const names = Object.keys(readiness.checks)
  const results = await Promise.allSettled(
    Object.values(readiness.checks).map((check) => withinTime(check(), CHECK_WITHIN_MS)),
  )
  const checks = Object.fromEntries(
    names.map((name, i) => [name, results[i]?.status === 'fulfilled' ? ('ok' as const) : ('down' as const)]),
  )
  return { ready: readiness.accepting() && results.every((r) => r.status === 'fulfilled'), checks }
}
