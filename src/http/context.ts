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

/** The envelope of what went well. */
export function envelope(ctx: Context, data: unknown) {
  return { code: 0, message: 'OK', data, request_id: ctx.state.requestId }
}

/** The envelope of an error of the table, in the language that the client accepts. */
export function errorEnvelope(ctx: Context, { entry: error, data }: ApiError) {
  const { status, n, zh, en } = errorEntry(error)
  return {
    code: status * 100 + n,
    error,
    message: prefersChinese(ctx) ? zh : en,
    ...(data === undefined ? {} : { data }),
    request_id: ctx.state.requestId,
  }
}

/** The language of an error; English without a wish. */
export function prefersChinese(ctx: Context): boolean {
  if (ctx.req.headers['accept-language'] === undefined) return false
  return ctx.acceptsLanguages('en', 'zh-CN', 'zh') !== 'en' && ctx.acceptsLanguages('zh-CN', 'zh') !== false
}

/** Answers with the envelope. @param status defaults to 200 */
export function answer(ctx: Context, data: unknown, status = 200): void {
  ctx.status = status
  ctx.body = envelope(ctx, data)
}

/** Answers with an error of the table. */
export function answerError(ctx: Context, error: ApiError): void {
  const { status, challenge } = errorEntry(error.entry)
  ctx.status = status
  if (error.retryAfterS !== undefined) ctx.set('Retry-After', String(error.retryAfterS))
  if (challenge !== undefined) ctx.set('WWW-Authenticate', challenge)
  ctx.vary('Accept-Language')
  ctx.body = errorEnvelope(ctx, error)
}

/** The claims of the token, which `authenticate` has checked. */
export function claimsOf(ctx: Context): Claims {
  const { claims } = ctx.state
  if (claims === undefined) throw new Error(`${ctx.path} reads claims without authenticating`)
  return claims
}
