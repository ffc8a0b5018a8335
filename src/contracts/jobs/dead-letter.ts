import { z } from 'zod'
import { defineJob } from '../../platform/bullmq/job.ts'
import { id } from '../values.ts'

/**
 * Where the dead letters of RabbitMQ and of BullMQ end: one queue without a worker, shown on the dashboard. The triage
 * tries again what is still owed to somebody, and takes away what is settled; the others are for people.
 */
export const deadLetterJob = defineJob({
  step: 'dead-letter',
  schema: z.object({
    /** Stable name of the dead letter: the broker's message, or the job. */
    id: z.string().regex(/^[A-Za-z0-9-]{1,200}$/),
    source: z.enum(['message', 'job']),
    /** Queue or job step that could not handle it. */
    origin: z.string(),
    reason: z.string(),
    attempts: z.int().min(0),
    /** The message as text, or the job's payload. */
    payload: z.unknown(),
    /** Of a job: its own id, which it keeps in the queue of its step for as long as it stays failed. */
    job_id: z.string().optional(),
    /** True when the message was longer, or no text: what is kept of it can't be put back. */
    cut: z.literal(true).optional(),
    /** What a message was signed with. */
    signature: z.string().optional(),
    /** How often it was tried again since it died first, by the triage or by people, and when that was last. */
    replays: z.int().min(0),
    replayed_at: z.iso.datetime().optional(),
    /** The person who did it last; none when it was the triage. */
    replayed_by: id.optional(),
    dead_at: z.iso.datetime(),
  }),
  attempts: 1,
  backoffMs: 1_000,
  keepCompletedS: 30 * 86_400,
  jobId: (payload) => `dead-letter-${payload.id}`,
  whenExhausted: 'Nothing works on this queue but the triage and people, who try again what is still owed.',
})

/** On a message that was put back to its queue by hand: how often, and by whom. It is kept when it dies again. */
export const REPLAY_COUNT_HEADER = 'x-replay-count'
export const REPLAYED_BY_HEADER = 'x-replayed-by'

export type DeadLetter = z.infer<typeof deadLetterJob.schema>
