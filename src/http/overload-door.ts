/** Turns away what is too much at the lowest price: before Koa, without reading the body, and with nothing in the log. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Door } from '../platform/fair-turns.ts'
import { constantRefusal, type RefusalDependencies } from './constant-refusal.ts'
import { CONTRACT } from './contract/index.ts'
import type { ApiMetrics } from './metrics.ts'
import { countRequest } from './middleware/metrics.ts'
import { isProbe } from './middleware/overload.ts'
import { SAFE_HEADERS } from './middleware/safe-headers.ts'
import { API_PREFIX } from './mount.ts'

interface DoorDependencies extends RefusalDependencies {
  metrics: ApiMetrics
  /** Answers what needs nobody at all. */
  answerKnown: Door['answerKnown']
}

/** In every spelling that the router takes. */
const PURCHASE = new RegExp(
  `^${API_PREFIX}${CONTRACT.buy.path.replaceAll(/:\w+/g, '[^/?]+')}/?(?:[?]|$)`,
  'i',
)

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

const HEADERS = [...SAFE_HEADERS.flat(), 'Content-Type', 'application/json; charset=utf-8']

/** Answers what the chain of middleware answers to OVERLOADED, header by header; a test compares the two. */
function refuser(deps: DoorDependencies) {
  const { shed } = deps.metrics
  const write = constantRefusal('OVERLOADED', HEADERS, deps)
  return (request: IncomingMessage, response: ServerResponse): void => {
    const status = write(request, response)
    shed.inc()
    countRequest(deps.metrics, { method: request.method ?? '', route: 'none', status }, 0)
  }
}
