/** Refuses again who was refused before, at the lowest price: before Koa, in one write. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type Koa from 'koa'
import { isTracing } from '../platform/telemetry/trace.ts'
import { ERROR_OF_OUTCOME, type OutcomeCounts } from '../reserve/outcome-counts.ts'
import type { KnownRefusal, Refusals } from '../reserve/refusals.ts'
import type { Claims } from '../users/tokens.ts'
import { prefersChinese, type Context } from './context.ts'
import type { CrossOriginHeaders } from './cross-origin.ts'
import { errorEntry } from './errors.ts'
import type { ApiMetrics } from './metrics.ts'
import { countRequest } from './middleware/metrics.ts'
import { REQUEST_ID_HEADER, requestIdFrom } from './middleware/request-id.ts'
import { hasBody, PURCHASE_HEADERS, PURCHASE_LABELS, purchasedEvent } from './purchase-lane.ts'

interface DoorDependencies {
  /** Reads the language of a client. */
  app: Pick<Koa, 'createContext'>
  crossOrigin: CrossOriginHeaders
  /** Whose token it is, when it was checked before and is good. */
  knownBuyer: (authorization: string | undefined) => Claims | undefined
  refusals: Pick<Refusals, 'peek'>
  outcomes: Pick<OutcomeCounts, 'add'>
  metrics: ApiMetrics
}

/**
 * Answers purchases of buyers who are known to be refused, as the lane would; a test compares the two. What is not asked of
 * any store needs no limit of rates: counting it would cost more than the answer.
 * @returns whether the request was answered
 */
export function knownRefusalDoor(deps: DoorDependencies) {
  const replies = { sold_out: repliesOf('sold_out'), all_held: repliesOf('all_held') }
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const refused = refusalOf(deps, request)
    if (refused === undefined) return false
    const began = performance.now()
    const { eventId, kind } = refused
    const { headers } = request
    const isChinese =
      headers['accept-language'] !== undefined &&
      prefersChinese(deps.app.createContext(request, response) as Context)
    const { status, beforeId, afterId, length } = replies[kind][isChinese ? 'zh' : 'en']
    const requestId = requestIdFrom(request)
    const own = [REQUEST_ID_HEADER, requestId, 'Content-Length', String(length + requestId.length)]
    if (headers.origin !== undefined) own.push(...deps.crossOrigin(headers.origin))
    response.writeHead(status, HEADERS.concat(own)).end(beforeId + requestId + afterId)
    deps.outcomes.add(eventId, kind)
    deps.metrics.purchases.inc({ outcome: kind })
    countRequest(deps.metrics, { ...PURCHASE_LABELS, status }, performance.now() - began)
    return true
  }
}

const HEADERS = [...PURCHASE_HEADERS, 'Vary', 'Origin, Accept-Language']

function refusalOf(
  { knownBuyer, refusals }: DoorDependencies,
  request: IncomingMessage,
): { eventId: string; kind: KnownRefusal } | undefined {
  const eventId = isTracing() ? undefined : purchasedEvent(request)
  if (eventId === undefined || hasBody(request)) return undefined
  const buyer = knownBuyer(request.headers.authorization)
  const kind = buyer && refusals.peek(eventId, buyer.sub)
  return kind && { eventId, kind }
}

function repliesOf(kind: KnownRefusal) {
  const error = ERROR_OF_OUTCOME[kind]
  const { status, n, en, zh } = errorEntry(error)
  const inLanguage = (message: string) => {
    const [beforeId = '', afterId = ''] = JSON.stringify({
      code: status * 100 + n,
      error,
      message,
      request_id: '@',
    }).split('@')
    return { status, beforeId, afterId, length: Buffer.byteLength(beforeId + afterId) }
  }
  return { en: inLanguage(en), zh: inLanguage(zh) }
}
