import type { RouterContext } from '@koa/router'
import type { Middleware } from '../context.ts'
import type { ApiMetrics } from '../metrics.ts'

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Counts and times every request, by the template of its route. Stands outside of what makes errors answers. */
export function countRequests(metrics: ApiMetrics): Middleware {
  return async (ctx, next) => {
    const began = performance.now()
    try {
      await next()
    } finally {
      const method = METHODS.has(ctx.method) ? ctx.method : 'other'
      const route = (ctx as unknown as RouterContext).routerPath ?? 'none'
      metrics.requests.inc({ method, route, status: ctx.status })
      metrics.durations.observe({ method, route }, (performance.now() - began) / 1_000)
    }
  }
}
