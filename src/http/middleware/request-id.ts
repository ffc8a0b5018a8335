import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
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

export function giveRequestId(ctx: Context): void {
  ctx.state.requestId = requestIdFrom(ctx.req)
}

/** The caller's request id when it is harmless, else a new one. */
export function requestIdFrom({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[\w-]{8,64}$/.test(given) ? given : randomUUID()
}
