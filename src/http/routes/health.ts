import type Router from '@koa/router'
import { withinTime } from '../../platform/time-limit.ts'
import { answer, type Context } from '../context.ts'

/** A dependency that is silent counts as down. */
const CHECK_WITHIN_MS = 2_000

export interface Readiness {
  /** False from the moment the process is told to stop. */
  accepting: () => boolean
  /** One check a dependency; each rejects when it can't be used. */
  checks: Record<string, () => Promise<unknown>>
}

/** `/healthz`: the process runs. `/readyz`: it can serve now; 503 names what can't be used. */
export function healthRoutes(router: Router, readiness: Readiness): void {
  router.get('/healthz', (ctx: Context) => answer(ctx, { status: 'ok' }))

  router.get('/readyz', async (ctx: Context) => {
    const names = Object.keys(readiness.checks)
    const results = await Promise.allSettled(
      Object.values(readiness.checks).map((check) => withinTime(check(), CHECK_WITHIN_MS)),
    )
    const checks = Object.fromEntries(
      names.map((name, i) => [name, results[i]?.status === 'fulfilled' ? 'ok' : 'down']),
    )
    const ready = readiness.accepting() && results.every((r) => r.status === 'fulfilled')
    answer(ctx, { status: ready ? 'ready' : 'not_ready', checks }, ready ? 200 : 503)
  })
}
