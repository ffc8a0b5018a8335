import type { InFlight } from '../../platform/in-flight.ts'
import { CONTRACT } from '../contract/index.ts'
import type { RouteSpec } from '../contract/route.ts'
import type { Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import type { ApiMetrics } from '../metrics.ts'

const PROBES = new Set(
  Object.values<RouteSpec>(CONTRACT)
    .filter((route) => route.probe)
    .map((route) => route.path),
)

/**
 * Refuses what has become one request too many behind the door of the server: one whose body was waited for meanwhile.
 * Probes are let past: they cost little, and tell that there are too many.
 */
export function refuseExcess(inFlight: InFlight, metrics: ApiMetrics): Middleware {
  return async (ctx, next) => {
    if (!inFlight.isExcess(ctx.req) || isProbe(ctx.method, ctx.path)) return next()
    metrics.shed.inc()
    throw new ApiError('OVERLOADED')
  }
}

/** True for requests that are answered however many there are. */
export function isProbe(method: string, path: string): boolean {
  return (method === 'GET' || method === 'HEAD') && PROBES.has(path)
}
