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
      const route = (ctx as unknown as RouterContext).routerPath ?? 'none'
      countRequest(metrics, { method: ctx.method, route, status: ctx.status }, performance.now() - began)
    }
  }
}

/** Counts one request with its time. */
export function countRequest(
  metrics: ApiMetrics,
  { route, status, ...request }: { method: string; route: string; status: number },
  ms: number,
): void {
  const method = METHODS.has(request.method) ? request.method : 'other'
  metrics.requests.inc({ method, route, status })
  metrics.durations.observe({ method, route }, ms / 1_000)
}
