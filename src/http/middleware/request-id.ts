import { randomUUID } from 'node:crypto'
import type { Next } from 'koa'
import type { Context } from '../context.ts'

export const REQUEST_ID_HEADER = 'X-Request-Id'

/** Every answer and every log line has the id of its request. */
export function requestId() {
  return (ctx: Context, next: Next): Promise<unknown> => {
    giveRequestId(ctx)
    ctx.set(REQUEST_ID_HEADER, ctx.state.requestId)
    return next()
  }
}

/** Takes the caller's request id when it is harmless, else makes one. */
export function giveRequestId(ctx: Context): void {
  const given = ctx.get(REQUEST_ID_HEADER)
  ctx.state.requestId = /^[\w-]{8,64}$/.test(given) ? given : randomUUID()
}
