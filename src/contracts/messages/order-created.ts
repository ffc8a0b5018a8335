import { z } from 'zod'
import { id, timestampMs } from '../values.ts'
import { defineMessage } from './message.ts'

/** Outbox of step 4 to step 5: an unpaid order exists and has a deadline. */
export const orderCreated = defineMessage({
  key: 'order.created',
  version: 1,
  schema: z.object({
    order_id: id,
    /** PostgreSQL's deadline; only a hint here, the close itself asks PostgreSQL's clock. */
    expires_at_ms: timestampMs,
  }),
  id: (message) => message.order_id,
})
