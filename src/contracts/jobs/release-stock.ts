import { z } from 'zod'
import { defineJob } from '../../platform/bullmq/job.ts'
import { id } from '../values.ts'

/**
 * Step 6. Carries only the rid: whether PostgreSQL has let go of its units is asked there, so a forged job frees
 * nothing. The script is idempotent by rid, so it is tried for about a day before it goes to the dead letters.
 */
export const releaseStockJob = defineJob({
  step: 'release-stock',
  schema: z.object({ rid: id }),
  attempts: 25_000, // more than a day, with pauses of up to 5 s
  backoffMs: 250,
  keepCompletedS: 3_600,
  jobId: (payload) => `release-stock-${payload.rid}`,
  whenExhausted: 'Units are missing in Redis: look at the stock Redis. The triage tries it again, ten times.',
})

export type ReleaseStockPayload = z.infer<typeof releaseStockJob.schema>
