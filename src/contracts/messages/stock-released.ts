import { z } from 'zod'
import { id, quantity, RELEASE_REASONS } from '../values.ts'
import { defineMessage } from './message.ts'

/** Outbox of a void or a close to step 6: PostgreSQL has let go of the units, Redis may have them back. */
export const stockReleased = defineMessage({
  key: 'stock.released',
  version: 1,
  schema: z.object({
    rid: id,
    event_id: id,
    user_id: id,
    quantity,
    reason: z.enum(RELEASE_REASONS),
  }),
  id: (message) => message.rid,
})

export type StockReleased = z.infer<typeof stockReleased.schema>
