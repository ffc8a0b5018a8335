import type { Config } from '../../platform/config.ts'
import { networkTest } from '../../platform/networks.ts'
import type { Context, Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'

/**
 * Whether a request comes from one of our own networks without a proxy in between: behind a proxy, the socket says
 * where the proxy is, and headers say what anybody likes. Outside prod everybody is inside.
 */
export function internalTest(config: Pick<Config, 'env' | 'internalNetworks'>): (ctx: Context) => boolean {
  if (config.env !== 'prod') return () => true
  const isInside = networkTest(config.internalNetworks)
  return (ctx) =>
    isInside(ctx.req.socket.remoteAddress ?? '') &&
    !('x-forwarded-for' in ctx.headers) &&
    !('forwarded' in ctx.headers)
}

/** Hides a route from everybody else, as if it were not there. */
export function internalGuard(isInternal: (ctx: Context) => boolean): Middleware {
  return async (ctx, next) => {
    if (!isInternal(ctx)) throw new ApiError('NOT_FOUND')
    await next()
  }
}
