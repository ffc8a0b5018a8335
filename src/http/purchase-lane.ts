/**
 * The way of a purchase. It is the one request that comes in crowds, so it does not take the general way, which looks for
 * its route among all others and builds its answer in many steps. The checks are the general ones, in their order; what
 * needs more than them (a key of idempotency, a trace, another spelling of the path) goes the general way.
 */
import type { IncomingMessage } from 'node:http'
import type { Logger } from '../platform/logger.ts'
import { isTracing } from '../platform/telemetry/trace.ts'
import type { Claims } from '../users/tokens.ts'
import { purchaseRoutes } from './contract/purchases.ts'
import { envelope, errorEnvelope, type Context, type Middleware } from './context.ts'
import { ApiError, errorEntry } from './errors.ts'
import type { HandlersOf } from './handler.ts'
import type { ApiMetrics } from './metrics.ts'
import { refusalFor } from './middleware/errors.ts'
import { countRequest } from './middleware/metrics.ts'
import { giveRequestId, REQUEST_ID_HEADER } from './middleware/request-id.ts'
import { SAFE_HEADERS } from './middleware/safe-headers.ts'
import { API_PREFIX } from './mount.ts'
import { validate } from './validate.ts'

const ROUTE = purchaseRoutes.buy
const [BEFORE_ID = '', AFTER_ID = ''] = `${API_PREFIX}${ROUTE.path}`.split(':id')
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const ID_LENGTH = 36

/** The headers of every answer to a purchase, as `writeHead` takes them. */
export const PURCHASE_HEADERS: readonly string[] = [
  ...SAFE_HEADERS.flat(),
  'Cache-Control',
  'no-store',
  'Content-Type',
  'application/json; charset=utf-8',
]

/** As purchases are counted, whichever way they took. */
export const PURCHASE_LABELS = { method: ROUTE.method.toUpperCase(), route: `${API_PREFIX}${ROUTE.path}` }

interface LaneDependencies {
  crossOrigin: Middleware
  overload: Middleware
  body: Middleware
  limitAddress: Middleware
  readBuyer: (authorization: string | undefined) => Claims | undefined
  limitUser: Middleware
  buy: HandlersOf<typeof purchaseRoutes>['buy']
  metrics: ApiMetrics
  log: Logger
}

type Reply = Awaited<ReturnType<LaneDependencies['buy']>>

/** Answers purchases by itself and lets everything else pass. Stands in front of all other middleware. */
export function purchaseLane(deps: LaneDependencies): Middleware {
  return async (ctx, next) => {
    const eventId = isTracing() ? undefined : purchasedEvent(ctx.req)
    if (eventId === undefined) return next()
    const began = performance.now()
    giveRequestId(ctx)
    const reply = await decide(deps, ctx, eventId)
    const status = write(ctx, reply)
    countRequest(deps.metrics, { ...PURCHASE_LABELS, status }, performance.now() - began)
  }
}

/** The event of a purchase that has nothing unusual about it. */
export function purchasedEvent({ method, url = '', headers }: IncomingMessage): string | undefined {
  if (method !== 'POST' || !url.startsWith(BEFORE_ID) || !url.endsWith(AFTER_ID)) return undefined
  if (url.length !== BEFORE_ID.length + ID_LENGTH + AFTER_ID.length) return undefined
  if (headers['idempotency-key'] !== undefined) return undefined
  const id = url.slice(BEFORE_ID.length, BEFORE_ID.length + ID_LENGTH)
  return ID.test(id) ? id : undefined
}

/** What a purchase without a body says. */
const EMPTY_BODY = Object.freeze(validate(ROUTE.body, {}))

const onwards = async (): Promise<void> => undefined

async function decide(deps: LaneDependencies, ctx: Context, eventId: string): Promise<Reply | ApiError> {
  try {
    const claims = await admit(deps, ctx)
    return await deps.buy({
      ctx,
      requestId: ctx.state.requestId,
      params: { id: eventId }, // of the right form, or it would not be here
      query: {},
      body: ctx.request.body === undefined ? EMPTY_BODY : validate(ROUTE.body, ctx.request.body),
      claims,
      expectedVersion: undefined,
      idempotencyKey: undefined,
    })
  } catch (error) {
    return refusalFor(error, ctx, deps.log)
  }
}

/** Whether there is anything to read; a length of 0 is none. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers
  return (length !== undefined && length !== '0') || encoding !== undefined
}

/** @throws ApiError */
async function admit(deps: LaneDependencies, ctx: Context): Promise<Claims> {
  const { headers } = ctx.req
  if (headers.origin !== undefined) await deps.crossOrigin(ctx, onwards)
  await deps.overload(ctx, onwards)
  if (hasBody(ctx.req)) {
    await deps.body(ctx, onwards)
    await deps.overload(ctx, onwards) // others may have come while the body was waited for
  }
  await deps.limitAddress(ctx, onwards)
  const claims = deps.readBuyer(headers.authorization)
  if (claims === undefined) throw new ApiError('UNAUTHENTICATED')
  ctx.state.claims = claims
  await deps.limitUser(ctx, onwards)
  return claims
}

/** Writes an answer past Koa, headers and body at once. @returns its status */
function write(ctx: Context, reply: Reply | ApiError): number {
  ctx.respond = false
  const refused = reply instanceof ApiError
  const status = refused ? errorEntry(reply.entry).status : reply.status
  const body = JSON.stringify(refused ? errorEnvelope(ctx, reply) : envelope(ctx, reply.data))
  if (!ctx.writable) return status // the buyer has gone
  const headers = PURCHASE_HEADERS.concat(
    REQUEST_ID_HEADER,
    ctx.state.requestId,
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Vary',
    refused ? 'Origin, Accept-Language' : 'Origin',
  )
  for (const [name, value] of Object.entries(refused ? headersOf(reply) : (reply.headers ?? {})))
    headers.push(name, value)
  ctx.res.writeHead(status, headers)
  ctx.res.end(body)
  return status
}

function headersOf({ entry, retryAfterS }: ApiError): Record<string, string> {
  const { challenge } = errorEntry(entry)
  return {
    ...(retryAfterS === undefined ? {} : { 'Retry-After': String(retryAfterS) }),
    ...(challenge === undefined ? {} : { 'WWW-Authenticate': challenge }),
  }
}
