/** What happened to a purchase, as one line of time: rows of PostgreSQL, the rid, and jobs that are still kept. */
import type { Step } from '../contracts/flow.ts'
import type { PurchaseWord, TimelineEntry } from '../orders/timeline.ts'
import { madeAtMs } from '../reserve/rid.ts'

/** Whose time it is. Clocks of two stores may be apart, so a time between two of them is not exact. */
export type Clock = 'api' | 'redis' | 'postgresql' | 'bullmq'

export type Place = Step | 'http' | 'payment' | 'provider'

export type JobWord = 'job_added' | 'job_due' | 'job_started' | 'job_completed' | 'job_failed' | 'dead_letter'

export type MomentWord = 'requested' | PurchaseWord | JobWord

export interface Moment {
  at: Date
  clock: Clock
  step: Place
  what: MomentWord
  detail: Record<string, string | number | null>
}

const PLACES: Record<PurchaseWord, { step: Place; clock: Clock }> = {
  reserved: { step: 'reserve', clock: 'redis' },
  received: { step: 'bridge', clock: 'postgresql' },
  decided: { step: 'create-order', clock: 'postgresql' },
  ordered: { step: 'create-order', clock: 'postgresql' },
  payment_started: { step: 'payment', clock: 'postgresql' },
  payment_captured: { step: 'provider', clock: 'postgresql' },
  payment_failed: { step: 'provider', clock: 'postgresql' },
  payment_refunded: { step: 'provider', clock: 'postgresql' },
  closed: { step: 'close-order', clock: 'postgresql' },
  paid: { step: 'payment', clock: 'postgresql' },
  refund_opened: { step: 'payment', clock: 'postgresql' },
  refund_done: { step: 'provider', clock: 'postgresql' },
  told: { step: 'publish', clock: 'postgresql' },
  published: { step: 'publish', clock: 'postgresql' },
}

/**
 * @param first the rid that the purchase began with: late money has made the others, by PostgreSQL's clock; null for an
 * ordinary order, which the request itself has made
 */
export function momentsOfRows(
  entries: readonly TimelineEntry<PurchaseWord>[],
  first: string | null,
): Moment[] {
  const placeOf = ({ what, detail }: TimelineEntry<PurchaseWord>): { step: Place; clock: Clock } => {
    if (what === 'reserved' && detail.reservation_id !== first)
      return { step: 'payment', clock: 'postgresql' }
    if (what === 'ordered' && first === null) return { step: 'http', clock: 'postgresql' }
    return PLACES[what]
  }
  return entries.map((entry) => ({ ...entry, ...placeOf(entry) }))
}

/** When the API made the rid, which is the first thing that it did for an accepted request. */
export function momentOfRequest(rid: string, requestId: string | null): Moment {
  const detail = { reservation_id: rid, request_id: requestId }
  return { at: new Date(madeAtMs(rid)), clock: 'api', step: 'http', what: 'requested', detail }
}

/** Sorts by time; of one millisecond, what was given first comes first. */
export function inOrder(moments: readonly Moment[]): Moment[] {
  return moments.toSorted((a, b) => a.at.getTime() - b.at.getTime())
}
