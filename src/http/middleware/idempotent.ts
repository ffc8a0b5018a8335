import { createHash } from 'node:crypto'
import type { IdempotencyStore, Place } from '../../platform/idempotency/store.ts'
import type { Logger } from '../../platform/logger.ts'
import { answer, claimsOf, type Context } from '../context.ts'
import { ApiError } from '../errors.ts'
import type { Guards } from '../mount.ts'

/** Headers that are part of the answer; all others belong to the request that is answered now. */
const KEPT_HEADERS = ['Location', 'ETag', 'Retry-After']

interface KeptReply {
  status: number
  data: unknown
  headers: Record<string, string>
}

/**
 * Runs a request once for each user, route and `Idempotency-Key`, and replays its answer to those that repeat it
 * (draft-ietf-httpapi-idempotency-key-header-07).
 *
 * Only answers of success are kept. A refusal has changed nothing: its key is set free, so that the same request can
 * be tried again with it, for example when a sale has begun meanwhile. A handler that throws sets it free too, although
 * it may have changed something: the reply to its COMMIT may be lost. This is a memory of answers; what must not be
 * done twice even then is guarded in PostgreSQL.
 */
export function idempotencyGuard(deps: { store: IdempotencyStore; log: Logger }): Guards['idempotent'] {
  return (mode, name) => async (ctx, next) => {
    const key = readKey(ctx)
    if (key === undefined) {
      if (mode === 'required') throw new ApiError('IDEMPOTENCY_KEY_REQUIRED')
      return next()
    }
    const userId = claimsOf(ctx).sub
    const place = { userId, key: digest(userId, name, key) }
    const begun = await deps.store.begin(place, fingerprintOf(ctx))
    switch (begun.kind) {
      case 'differs':
        throw new ApiError('IDEMPOTENCY_MISMATCH')
      case 'under_way':
        throw new ApiError('IDEMPOTENCY_IN_FLIGHT')
      case 'too_many':
        throw new ApiError('RATE_LIMITED', { retryAfterS: Math.ceil(begun.freeInMs / 1_000) })
      case 'done':
        return replay(ctx, JSON.parse(begun.reply) as KeptReply)
      case 'begun': {
        ctx.state.idempotencyKey = key
        let reply: KeptReply | undefined
        try {
          await next()
          reply = replyOf(ctx)
        } finally {
          await settle(deps, place, begun.token, reply, ctx.state.requestId)
        }
      }
    }
  }
}

/** @throws ApiError VALIDATION_FAILED @returns undefined when there is none */
function readKey(ctx: Context): string | undefined {
  const header = ctx.get('Idempotency-Key')
  if (header === '') return undefined
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header
  if (/^[ -~]{1,255}$/.test(key)) return key
  throw new ApiError('VALIDATION_FAILED', {
    data: { fields: [{ field: 'Idempotency-Key', problem: 'is not 1 to 255 printable ASCII characters' }] },
  })
}

function fingerprintOf(ctx: Context): string {
  return digest(ctx.method, ctx.url, (ctx.request as { rawBody?: string }).rawBody ?? '')
}

/** No part can run into the next: JSON keeps them apart. */
function digest(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

function replyOf(ctx: Context): KeptReply | undefined {
  if (ctx.status < 200 || ctx.status > 299) return undefined
  const headers = KEPT_HEADERS.map((name) => [name, ctx.response.get(name)] as const)
  return {
    status: ctx.status,
    data: (ctx.body as { data?: unknown } | null)?.data,
    headers: Object.fromEntries(headers.filter(([, value]) => value !== '')),
  }
}

function replay(ctx: Context, reply: KeptReply): void {
  ctx.set({ ...reply.headers, 'Idempotent-Replayed': 'true' })
  answer(ctx, reply.data, reply.status)
}

/** The work is done either way: when Redis does not take the reply, its client gets it all the same. */
async function settle(
  { store, log }: { store: IdempotencyStore; log: Logger },
  place: Place,
  token: string,
  reply: KeptReply | undefined,
  requestId: string,
): Promise<void> {
  try {
    if (reply === undefined) await store.abandon(place, token)
    else await store.finish(place, token, JSON.stringify(reply))
  } catch (error) {
    log.warn({ err: error, request_id: requestId }, 'an idempotency key could not be settled')
  }
}
