import { z } from 'zod'
import { defineJob } from '../../platform/bullmq/job.ts'
import { id } from '../values.ts'

/** Step 5, delayed to the order's deadline. */
export const closeOrderJob = defineJob({
  step: 'close-order',
  schema: z.object({ order_id: id }),
  attempts: 10,
  backoffMs: 500,
  keepCompletedS: 3_600,
  jobId: (payload) => `close-order-${payload.order_id}`,
  whenExhausted: 'The sweep closes overdue orders by itself.',
})

export type CloseOrderPayload = z.infer<typeof closeOrderJob.schema>
