/** Refuses again who was refused before, at the lowest price: before Koa, in one write. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isTracing } from '../platform/telemetry/trace.ts'
import { ERROR_OF_OUTCOME, type OutcomeCounts } from '../reserve/outcome-counts.ts'
import type { KnownRefusal, Refusals } from '../reserve/refusals.ts'
import type { Claims } from '../users/tokens.ts'
import { constantRefusal, type RefusalDependencies } from './constant-refusal.ts'
import type { ApiMetrics } from './metrics.ts'
import { countRequest } from './middleware/metrics.ts'
import { hasBody, PURCHASE_HEADERS, PURCHASE_LABELS, purchasedEvent } from './purchase-lane.ts'

interface DoorDependencies extends RefusalDependencies {
  /** Whose token it is, when it was checked before and is good. */
  knownBuyer: (authorization: string | undefined) => Claims | undefined
  refusals: Pick<Refusals, 'peek' | 'refuses'>
  outcomes: Pick<OutcomeCounts, 'add'>
  metrics: ApiMetrics
}

/**
 * Answers purchases of buyers who are known to be refused, as the lane would; a test compares the two. What is not asked of
 * any store needs no limit of rates: counting it would cost more than the answer.
 * @returns whether the request was answered
 */
export function knownRefusalDoor(deps: DoorDependencies) {
  const writerOf = (kind: KnownRefusal) => constantRefusal(ERROR_OF_OUTCOME[kind], PURCHASE_HEADERS, deps)
  const writers = { sold_out: writerOf('sold_out'), all_held: writerOf('all_held') }
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const refused = refusalOf(deps, request)
    if (refused === undefined) return false
    const began = performance.now()
    const { eventId, kind } = refused
    const status = writers[kind](request, response)
    deps.outcomes.add(eventId, kind)
    deps.metrics.purchases.inc({ outcome: kind })
    countRequest(deps.metrics, { ...PURCHASE_LABELS, status }, performance.now() - began)
    return true
  }
}

function refusalOf(
  { knownBuyer, refusals }: DoorDependencies,
  request: IncomingMessage,
): { eventId: string; kind: KnownRefusal } | undefined {
  const eventId = isTracing() ? undefined : purchasedEvent(request)
  if (eventId === undefined || !refusals.refuses(eventId) || hasBody(request)) return undefined
  const buyer = knownBuyer(request.headers.authorization)
  const kind = buyer && refusals.peek(eventId, buyer.sub)
  return kind && { eventId, kind }
}
