import type { Context as KoaContext, Next } from 'koa'
import type { Claims } from '../users/tokens.ts'
import { errorEntry, type ApiError } from './errors.ts'

/** What the middleware puts on `ctx.state`. */
export interface State {
  requestId: string
  /** Set behind the access guard, when a token was read. */
  claims?: Claims
  /** Set behind the idempotency guard, when the request named a key. */
  idempotencyKey?: string
}

export type Context = KoaContext & { state: State }

export type Middleware = (ctx: Context, next: Next) => Promise<void>

/** Answers with the envelope. @param status defaults to 200 */
export function answer(ctx: Context, data: unknown, status = 200): void {
  ctx.status = status
  ctx.body = { code: 0, message: 'OK', data, request_id: ctx.state.requestId }
}

/** Answers with an error of the table, in the language that the client accepts. */
export function answerError(ctx: Context, error: ApiError): void {
  const entry = errorEntry(error.entry)
  const chinese =
    ctx.acceptsLanguages('en', 'zh-CN', 'zh') !== 'en' && ctx.acceptsLanguages('zh-CN', 'zh') !== false
  ctx.status = entry.status
  if (error.retryAfterS !== undefined) ctx.set('Retry-After', String(error.retryAfterS))
  if (entry.challenge !== undefined) ctx.set('WWW-Authenticate', entry.challenge)
  ctx.vary('Accept-Language')
  ctx.body = {
    code: entry.status * 100 + entry.n,
    error: error.entry,
    message: chinese ? entry.zh : entry.en,
    ...(error.data === undefined ? {} : { data: error.data }),
    request_id: ctx.state.requestId,
  }
}

/** The claims of the token, which `authenticate` has checked. */
export function claimsOf(ctx: Context): Claims {
  const { claims } = ctx.state
  if (claims === undefined) throw new Error(`${ctx.path} reads claims without authenticating`)
  return claims
}
