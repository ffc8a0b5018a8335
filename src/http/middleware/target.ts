import type { Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'

/** Refuses a target such as `http://[`, which is HTTP and no URL: everything behind reads its path. */
export const readableTarget: Middleware = (ctx, next) => {
  if (!isReadable(() => ctx.path))
    throw new ApiError('VALIDATION_FAILED', { data: { fields: [{ field: 'url', problem: 'is not a URL' }] } })
  return next()
}

function isReadable(read: () => string): boolean {
  try {
    read()
    return true
  } catch {
    return false
  }
}
