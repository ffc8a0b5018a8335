/** The use case of the product: take a unit (step 1), tell the broker (step 2), answer at once. */
import { failpoint, withFailpoint } from './platform/failpoints.ts'
import type { Logger } from './platform/logger.ts'
import type { ConfirmPublisher } from './platform/rabbitmq/publisher.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import { activeTraceparent } from './platform/telemetry/trace.ts'
import { publishReservation } from './publish/publish-reservation.ts'
import type { OutcomeCounts } from './reserve/outcome-counts.ts'
import type { QueuedMarks } from './reserve/queued-marks.ts'
import type { Refusals } from './reserve/refusals.ts'
import { newRid, type RidKey } from './reserve/rid.ts'
import type { ReserveReply, spikeScripts } from './reserve/scripts.ts'

export interface BuyInput {
  eventId: string
  userId: string
  quantity: number
  requestId: string
}

type Refusal = Exclude<ReserveReply, { kind: 'accepted' | 'corrupt' }>

/**
 * - `queued`: the unit is held and the reservation durable in the broker
 * - `reserving`: the unit is held, the broker has not confirmed yet; the relay takes care of it
 * - `overloaded`: too many publishes wait for their confirm; nothing was taken
 * - anything else: why no unit was taken
 */
export type Purchase = Taken | NotTaken
export type Taken = { kind: 'queued' | 'reserving'; rid: string }
export type NotTaken = { kind: 'overloaded' } | Refusal

export function isTaken(purchase: Purchase): purchase is Taken {
  return purchase.kind === 'queued' || purchase.kind === 'reserving'
}

interface BuyDependencies {
  scripts: Pick<Scripts<typeof spikeScripts>, 'reserve'>
  publisher: ConfirmPublisher
  marks: QueuedMarks
  outcomes: OutcomeCounts
  refusals: Refusals
  /** Proves to whoever asks for a rid later that it was made here. */
  ridKey: RidKey
  log: Logger
}

/**
 * Buys units of a spike event for one buyer.
 * A publish that is not confirmed in time is no failure: the unit is never given back for it.
 * @throws when Redis does not answer, or when an event's keys are broken; a unit may have been taken in the
 * first case, and the same buyer's next try is told its rid
 */
export async function buy(deps: BuyDependencies, input: BuyInput): Promise<Purchase> {
  const { eventId, userId } = input
  const known = input.quantity === 1 ? await deps.refusals.find(eventId, userId) : undefined
  if (known !== undefined) {
    deps.outcomes.add(eventId, known)
    return { kind: known }
  }
  if (!deps.publisher.hasRoom) return { kind: 'overloaded' }
  const generation = deps.refusals.generationOf(eventId)
  const rid = newRid(eventId, userId, deps.ridKey)
  await failpoint('reserve.before')
  const reply = await withFailpoint('reserve.after', () =>
    deps.scripts.reserve({ ...input, rid, traceparent: activeTraceparent() }),
  )
  if (reply.kind === 'corrupt') throw new Error(`redis key ${reply.key} has a wrong type or value`)
  if (reply.kind !== 'not_ready') deps.outcomes.add(eventId, reply.kind)
  if (input.quantity === 1 && (reply.kind === 'sold_out' || reply.kind === 'all_held'))
    deps.refusals.learn(eventId, userId, reply.kind, generation)
  if (reply.kind === 'accepted' || reply.kind === 'existing') deps.refusals.forget(eventId, userId)
  if (reply.kind !== 'accepted') return reply
  const outcome = await publishReservation(deps.publisher, {
    rid: reply.rid,
    event_id: eventId,
    user_id: userId,
    quantity: input.quantity,
    epoch: reply.epoch,
    reserved_at_ms: reply.reservedAtMs,
    request_id: input.requestId,
  })
  if (outcome !== 'confirmed') {
    const { requestId: request_id } = input
    deps.log.warn({ step: 'publish', rid: reply.rid, request_id, outcome }, 'reservation left to the relay')
    return { kind: 'reserving', rid: reply.rid }
  }
  deps.marks.add(eventId, reply.rid)
  return { kind: 'queued', rid: reply.rid }
}
