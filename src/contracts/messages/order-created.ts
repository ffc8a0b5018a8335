import { z } from 'zod'
import { id, timestampMs } from '../values.ts'
import { defineMessage } from './message.ts'

/** More than a batch of step 4, and not more than a dead letter can keep whole. */
const MAX_OTHERS = 300

/** Outbox of step 4 to step 5: unpaid orders exist and have a deadline. */
export const orderCreated = defineMessage({
  key: 'order.created',
  version: 1,
  schema: z.object({
    order_id: id,
    /** PostgreSQL's deadline; only a hint here, the close itself asks PostgreSQL's clock. */
    expires_at_ms: timestampMs,
    /**
     * Orders of the same transaction with the same deadline. A reader that knows nothing of them leaves them to the
     * sweep, which closes what is overdue by itself.
     */
    others: z.array(id).max(MAX_OTHERS).optional(),
  }),
  id: (message) => message.order_id,
})
