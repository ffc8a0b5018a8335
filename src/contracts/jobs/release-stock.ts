import { defineJob } from '../../platform/bullmq/job.ts'
import { stockReleased, type StockReleased } from '../messages/stock-released.ts'

/** Step 6. The script is idempotent by rid, so it is tried for about a day before somebody has to look. */
export const releaseStockJob = defineJob({
  step: 'release-stock',
  schema: stockReleased.schema,
  attempts: 2_000, // more than a day, with pauses of up to a minute
  backoffMs: 250,
  keepCompletedS: 3_600,
  jobId: (payload: StockReleased) => `release-stock-${payload.rid}`,
  whenExhausted: 'Units are missing in Redis: look at the stock Redis, then retry the job.',
})
