/** The use case of trying all failed jobs of all steps again. */
import type { Job } from 'bullmq'
import type { Actor } from '../audit/audit.ts'
import { removeFinished, type JobProducer } from '../platform/bullmq/job.ts'
import type { Logger } from '../platform/logger.ts'
import { isStoreTrouble } from '../platform/store-trouble.ts'
import { auditedOnce, type Audited } from './audited.ts'
import { debtOfJob, jobOf, producersOf, revive, standingsOf, type DebtDependencies } from './debts.ts'

/** Jobs by what became of them; together they are all that had failed. */
export interface Retried {
  failed: number
  /** They wait again, with all their attempts. */
  retried: number
  /** What they were for is done: taken away. */
  settled: number
  /** They carry what no step takes, or time was over, or a store was. */
  left: number
}

const ROUND = 100
/** Of each step at once; of more, only the oldest. */
const MAX_RETRIED = 10_000
const WITHIN_MS = 7_000

/** Failed jobs of each step. */
export async function countFailed(deps: DebtDependencies): Promise<Record<string, number>> {
  const counts = producersOf(deps).map(
    async ({ queue }) => [queue.name, await queue.getFailedCount()] as const,
  )
  return Object.fromEntries(await Promise.all(counts))
}

/** Makes every failed job run again, with all its attempts; the letters of those that work then go by themselves. */
export function retryFailed(
  deps: DebtDependencies & { log: Logger },
  actor: Actor,
): Promise<Audited<Retried>> {
  return auditedOnce(deps.knex, actor, {
    action: 'job.retry-failed',
    target: 'queues',
    run: async () => {
      const failed = await countFailed(deps)
      const after = { failed: 0, retried: 0, settled: 0, left: 0 }
      const endsAt = Date.now() + WITHIN_MS
      try {
        for (const { queue } of producersOf(deps)) {
          const jobs = await failedJobs(queue)
          after.failed += jobs.length
          for (let i = 0; i < jobs.length && Date.now() < endsAt; i += ROUND)
            await retryRound(deps, jobs.slice(i, i + ROUND), after)
        }
      } catch (error) {
        if (!isStoreTrouble(error)) throw error
        deps.log.warn({ err: error }, 'retry of failed jobs interrupted')
      }
      after.left = after.failed - after.retried - after.settled
      return { before: { failed }, after, isWorthNoting: after.failed > 0 }
    },
  })
}

async function failedJobs(queue: JobProducer<string, unknown>['queue']): Promise<Job[]> {
  const jobs: (Job | undefined)[] = await queue.getJobs(['failed'], 0, MAX_RETRIED - 1, true)
  return jobs.filter((job) => job !== undefined)
}

async function retryRound(deps: DebtDependencies, jobs: readonly Job[], tally: Retried): Promise<void> {
  const debts = jobs.map((job) => debtOfJob(job.queueName, job.data))
  const standings = await standingsOf(deps, debts)
  for (const [i, job] of jobs.entries()) {
    const debt = debts[i]
    if (debt === undefined) continue
    if (standings[i] !== 'settled') await revive(deps, debt)
    // A revival has taken the place of the job, unless that was made by hand and bears another name.
    if (standings[i] === 'settled' || job.id !== jobOf(deps, debt).jobId) await removeFinished(job)
    if (standings[i] === 'settled') tally.settled++
    else tally.retried++
  }
}
