import { setImmediate as nextTurn } from 'node:timers/promises'
import { encodeMessage } from '../contracts/messages/message.ts'
import { reservationAccepted, type ReservationAccepted } from '../contracts/messages/reservation-accepted.ts'
import { failpointsAreArmed, withFailpoint } from '../platform/failpoints.ts'
import type { ConfirmPublisher, PublishOutcome } from '../platform/rabbitmq/publisher.ts'

/** How long a buyer waits for the broker's confirm before the answer is `reserving`. */
export const CONFIRM_WAIT_MS = 250

/** Step 2: hands one reservation to the broker. Whatever the outcome, its entry in the reservation log remains. */
export async function publishReservation(
  publisher: ConfirmPublisher,
  message: ReservationAccepted,
  withinMs = CONFIRM_WAIT_MS,
): Promise<PublishOutcome> {
  // The bytes leave with this turn of the event loop, in an immediate behind ours; the confirm comes later.
  const { outcome } = await withFailpoint('publish.after-send', async () => {
    const sent = send(publisher, message, withinMs)
    if (failpointsAreArmed()) for (let turns = 0; turns < 2; turns++) await nextTurn()
    return { outcome: sent }
  })
  return outcome
}

function send(
  publisher: ConfirmPublisher,
  message: ReservationAccepted,
  withinMs: number,
): Promise<PublishOutcome> {
  return publisher.publish(
    {
      routingKey: reservationAccepted.key,
      messageId: reservationAccepted.id(message),
      body: encodeMessage(reservationAccepted, message),
    },
    withinMs,
  )
}
