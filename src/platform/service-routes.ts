/** What a process without an API contract tells of itself. */
import { Router } from '@koa/router'
import type { Registry } from 'prom-client'
import type { InternalTest } from './networks.ts'
import { readinessReporter, showDependencies, type Readiness } from './readiness.ts'

interface ServiceRoutes {
  registry: Registry
  readiness: Readiness
  isInternal: InternalTest
}

/**
 * `GET /healthz` (it runs), `GET /readyz` (200, or 503 when it can't work now) and `GET /metrics`. Metrics, and the
 * single checks of readiness, are for those inside; for others `/metrics` is like any path that is not there.
 */
export function serviceRoutes({ registry, readiness, isInternal }: ServiceRoutes): Router {
  const router = new Router()
  const report = readinessReporter(readiness)
  showDependencies(registry, report)
  router.get('/healthz', (ctx) => {
    ctx.body = { status: 'ok' }
  })
  router.get('/readyz', async (ctx) => {
    const { ready, checks } = await report()
    ctx.status = ready ? 200 : 503
    ctx.body = { status: ready ? 'ready' : 'not_ready', ...(isInternal(ctx.req) ? { checks } : {}) }
  })
  router.get('/metrics', async (ctx, next) => {
    if (!isInternal(ctx.req)) return next()
    ctx.type = registry.contentType
    ctx.body = await registry.metrics()
  })
  return router
}
