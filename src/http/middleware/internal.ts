import type { InternalTest } from '../../platform/networks.ts'
import type { Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'

/** Hides a route from everybody else, as if it were not there. */
export function internalGuard(isInternal: InternalTest): Middleware {
  return async (ctx, next) => {
    if (!isInternal(ctx.req)) throw new ApiError('NOT_FOUND')
    await next()
  }
}
