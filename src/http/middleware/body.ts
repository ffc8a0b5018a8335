import { bodyParser } from '@koa/bodyparser'
import type { InFlight } from '../../platform/in-flight.ts'
import type { Context, Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import { problemOf } from '../json-shape.ts'

const LIMIT = '16kb'

/**
 * Reads JSON bodies up to 16 KiB. A body of another type is refused instead of ignored, and so is one that names a
 * field twice, so that nothing is ever decided on half of a request.
 */
export function jsonBody(inFlight: InFlight): Middleware {
  const parse = bodyParser({
    enableTypes: ['json'],
    parsedMethods: ['POST', 'PUT', 'PATCH', 'DELETE'],
    jsonLimit: LIMIT,
    jsonStrict: true,
  })
  return async (ctx, next) => {
    const hasBody =
      ctx.request.length !== 0 && (ctx.request.length !== undefined || ctx.get('transfer-encoding') !== '')
    if (!hasBody) return next()
    if (!isUtf8Json(ctx)) throw new ApiError('UNSUPPORTED_MEDIA_TYPE')
    // A body that trickles in is no work in hand: slow senders shall not take the places of others.
    // What is left of one that is refused is thrown away, or nobody would notice that its client has gone.
    await inFlight.aside(ctx.req, () => parse(ctx, async () => undefined)).finally(() => ctx.req.resume())
    const problem = problemOf((ctx.request as { rawBody?: string }).rawBody ?? '')
    if (problem !== undefined)
      throw new ApiError('VALIDATION_FAILED', { data: { fields: [{ field: 'body', problem }] } })
    await next()
  }
}

function isUtf8Json(ctx: Context): boolean {
  const charset = ctx.request.charset.toLowerCase()
  return ctx.is('application/json') !== false && (charset === '' || charset === 'utf-8')
}
