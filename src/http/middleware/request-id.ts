import { randomUUID } from 'node:crypto'
import type { Next } from 'koa'
import type { Context } from '../context.ts'

const HEADER = 'X-Request-Id'

/** Takes the caller's request id when it is harmless, else makes one; it is in every answer and every log line. */
export function requestId() {
  return (ctx: Context, next: Next): Promise<unknown> => {
    const given = ctx.get(HEADER)
    ctx.state.requestId = /^[\w-]{8,64}$/.test(given) ? given : randomUUID()
    ctx.set(HEADER, ctx.state.requestId)
    return next()
  }
}
