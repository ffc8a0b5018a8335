import { bodyParser } from '@koa/bodyparser'
import type { Next } from 'koa'
import type { Context } from '../context.ts'
import { ApiError } from '../errors.ts'

const LIMIT = '16kb'

/**
 * Reads JSON bodies up to 16 KiB. A body of another type is refused instead of ignored, so that nothing is ever
 * decided on half of a request.
 */
export function jsonBody() {
  const parse = bodyParser({ enableTypes: ['json'], jsonLimit: LIMIT, jsonStrict: true })
  return async (ctx: Context, next: Next): Promise<void> => {
    const hasBody =
      ctx.request.length !== 0 && (ctx.request.length !== undefined || ctx.get('transfer-encoding') !== '')
    if (hasBody && !isUtf8Json(ctx)) throw new ApiError('UNSUPPORTED_MEDIA_TYPE')
    await parse(ctx, next)
  }
}

function isUtf8Json(ctx: Context): boolean {
  const charset = ctx.request.charset.toLowerCase()
  return ctx.is('application/json') !== false && (charset === '' || charset === 'utf-8')
}
