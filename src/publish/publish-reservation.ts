import { encodeMessage } from '../contracts/messages/message.ts'
import { reservationAccepted, type ReservationAccepted } from '../contracts/messages/reservation-accepted.ts'
import type { ConfirmPublisher, PublishOutcome } from '../platform/rabbitmq/publisher.ts'

/** How long a buyer waits for the broker's confirm before the answer is `reserving`. */
export const CONFIRM_WAIT_MS = 250

/** Step 2: hands one reservation to the broker. Whatever the outcome, its entry in the reservation log remains. */
export function publishReservation(
  publisher: ConfirmPublisher,
  message: ReservationAccepted,
  withinMs = CONFIRM_WAIT_MS,
): Promise<PublishOutcome> {
  return publisher.publish(
    {
      routingKey: reservationAccepted.key,
      messageId: reservationAccepted.id(message),
      body: encodeMessage(message),
    },
    withinMs,
  )
}
