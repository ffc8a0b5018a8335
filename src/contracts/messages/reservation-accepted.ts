import { z } from 'zod'
import { id, quantity, timestampMs } from '../values.ts'
import { defineMessage } from './message.ts'

/** PostgreSQL's integer. */
const MAX_INT4 = 2 ** 31 - 1

/** Step 2 to step 3: a unit was taken out of Redis for a buyer. */
export const reservationAccepted = defineMessage({
  key: 'reservation.accepted',
  version: 1,
  schema: z.object({
    rid: id,
    event_id: id,
    user_id: id,
    quantity,
    /** Generation of the event's Redis state that took the unit. */
    epoch: z.int().min(1).max(MAX_INT4),
    /** Redis time of the decrement. */
    reserved_at_ms: timestampMs,
    request_id: z.string().regex(/^[\w-]{1,128}$/),
  }),
  id: (message) => message.rid,
})

export type ReservationAccepted = z.infer<typeof reservationAccepted.schema>
