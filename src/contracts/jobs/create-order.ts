import { z } from 'zod'
import { defineJob } from '../../platform/bullmq/job.ts'
import { id } from '../values.ts'

/** Step 4. Carries only the rid: what was reserved is read from the inbox row, so a forged job can order nothing. */
export const createOrderJob = defineJob({
  step: 'create-order',
  schema: z.object({ rid: id }),
  attempts: 10,
  backoffMs: 200,
  keepCompletedS: 3_600,
  jobId: (payload) => `create-order-${payload.rid}`,
  whenExhausted: 'The reservation stays undecided; the sweep tries it again every few seconds.',
})

export type CreateOrderPayload = z.infer<typeof createOrderJob.schema>
