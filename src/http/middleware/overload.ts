import type { InFlight } from '../../platform/in-flight.ts'
import { CONTRACT } from '../contract/index.ts'
import type { RouteSpec } from '../contract/route.ts'
import type { Context, Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import type { ApiMetrics } from '../metrics.ts'

const PROBES = new Set(
  Object.values<RouteSpec>(CONTRACT)
    .filter((route) => route.probe)
    .map((route) => route.path),
)

/**
 * Refuses at once what is one request too many, so that those in hand are answered in time. Probes are let past: they
 * cost little, and tell that there are too many.
 */
export function refuseExcess(inFlight: InFlight, metrics: ApiMetrics): Middleware {
  return async (ctx, next) => {
    if (!inFlight.isExcess(ctx.req) || isProbe(ctx)) return next()
    metrics.shed.inc()
    throw new ApiError('OVERLOADED')
  }
}

function isProbe(ctx: Context): boolean {
  return (ctx.method === 'GET' || ctx.method === 'HEAD') && PROBES.has(ctx.path)
}
