import type { Next } from 'koa'
import { isTransient } from '../../platform/postgres/transaction.ts'
import type { Logger } from '../../platform/logger.ts'
import { answerError, type Context } from '../context.ts'
import { ApiError, type ErrorName } from '../errors.ts'

/** The one place where errors become answers. */
export function errors(log: Logger) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next()
      if (ctx.status === 404 && ctx.body === undefined) throw new ApiError('NOT_FOUND')
      if (ctx.status === 405 || ctx.status === 501) throw new ApiError('METHOD_NOT_ALLOWED')
    } catch (error) {
      answerError(ctx, refusalFor(error, ctx, log))
    }
  }
}

/** What a failed request is answered with; the unexpected is logged here, once, and nowhere else. */
export function refusalFor(error: unknown, ctx: Context, log: Logger): ApiError {
  const known = toApiError(error)
  if (known === undefined || known.entry === 'NOT_READY')
    log.error(
      { err: error, request_id: ctx.state.requestId, method: ctx.method, path: ctx.path },
      'request failed',
    )
  return known ?? new ApiError('INTERNAL')
}

/** Errors of the libraries in front of the routes, by the HTTP status they carry. */
const BY_STATUS: Record<number, ErrorName> = {
  400: 'VALIDATION_FAILED',
  401: 'UNAUTHENTICATED',
  413: 'PAYLOAD_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
}

function toApiError(error: unknown): ApiError | undefined {
  if (error instanceof ApiError) return error
  const { status, code } = error as { status?: number; code?: string }
  if (code?.startsWith('Z_')) return new ApiError('VALIDATION_FAILED') // zlib: a body that is not what it says
  const name = status === undefined ? undefined : BY_STATUS[status]
  if (name !== undefined) return new ApiError(name)
  return isTransient(error) || isRedisDown(error) ? new ApiError('NOT_READY') : undefined
}

function isRedisDown(error: unknown): boolean {
  const { name, message } = error as { name?: string; message?: string }
  return (
    name === 'MaxRetriesPerRequestError' ||
    message === 'Command timed out' ||
    message === 'Connection is closed.' ||
    /^(LOADING|READONLY|OOM|MISCONF|CLUSTERDOWN) |^Too many Cluster redirections/.test(message ?? '')
  )
}
