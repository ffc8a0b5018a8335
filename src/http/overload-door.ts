/** Turns away what is too much at the lowest price: before Koa, without reading the body, and with nothing in the log. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type Koa from 'koa'
import type { Door } from '../platform/fair-turns.ts'
import { CONTRACT } from './contract/index.ts'
import { errorEnvelope, type Context } from './context.ts'
import type { CrossOriginHeaders } from './cross-origin.ts'
import { ApiError, errorEntry } from './errors.ts'
import type { ApiMetrics } from './metrics.ts'
import { countRequest } from './middleware/metrics.ts'
import { isProbe } from './middleware/overload.ts'
import { giveRequestId, REQUEST_ID_HEADER } from './middleware/request-id.ts'
import { SAFE_HEADERS } from './middleware/safe-headers.ts'
import { API_PREFIX } from './mount.ts'

interface DoorDependencies {
  /** Reads the id of a request, and the language of its client. */
  app: Pick<Koa, 'createContext'>
  metrics: ApiMetrics
  crossOrigin: CrossOriginHeaders
  /** Answers what needs nobody at all. */
  answerKnown: Door['answerKnown']
}

const PURCHASE = new RegExp(`^${API_PREFIX}${CONTRACT.buy.path.replaceAll(/:\w+/g, '[^/?]+')}(?:[?]|$)`)

/**
 * A purchase that has not begun has lost nothing: it is turned away before requests of those who have a reservation, and
 * before those of the staff. Probes and preflights are let past; they cost little, and say whether asking again makes sense.
 */
export function overloadDoor(deps: DoorDependencies): Door {
  const refuse = refuser(deps)
  return {
    answerKnown: deps.answerKnown,
    isOfCrowd: ({ method, url }) => method === 'POST' && PURCHASE.test(url ?? ''),
    refuse(request, response) {
      const { method = '', url = '' } = request
      if (method === 'OPTIONS' || isProbe(method, url.split('?', 1)[0] ?? '')) return false
      refuse(request, response)
      return true
    },
  }
}

/** Answers what the chain of middleware answers to OVERLOADED, header by header; a test compares the two. */
function refuser({ app, metrics, crossOrigin }: DoorDependencies) {
  const refusal = new ApiError('OVERLOADED')
  const { status, retryAfterS } = errorEntry('OVERLOADED')
  const same = [
    ...SAFE_HEADERS.flat(),
    'Content-Type',
    'application/json; charset=utf-8',
    'Retry-After',
    String(retryAfterS),
    'Vary',
    'Origin, Accept-Language',
  ]
  return (request: IncomingMessage, response: ServerResponse): void => {
    const { method = '', headers } = request
    const ctx = app.createContext(request, response) as Context
    giveRequestId(ctx)
    const body = Buffer.from(JSON.stringify(errorEnvelope(ctx, refusal)))
    const own = [REQUEST_ID_HEADER, ctx.state.requestId, 'Content-Length', String(body.length)]
    if (headers.origin !== undefined) own.push(...crossOrigin(headers.origin))
    response.writeHead(status, [...same, ...own]).end(body)
    metrics.shed.inc()
    countRequest(metrics, { method, route: 'none', status }, 0)
  }
}
