/**
 * The net's last part: dead letters. What is still owed to somebody is tried again, what is settled is taken away, and
 * the rest (unreadable, unsigned, unknown to PostgreSQL) is left to people as it is. A letter goes after its effect is
 * durable, and everything is idempotent, so any number of workers may do this at the same time.
 */
import type { Job, Queue } from 'bullmq'
import { deadLetterJob, type DeadLetter } from '../../src/contracts/jobs/dead-letter.ts'
import {
  debtOf,
  debtOfJob,
  isHandedOver,
  producersOf,
  revive,
  standingsOf,
  type Debt,
  type DebtDependencies,
} from '../../src/dead-letters/debts.ts'
import { stampReplay } from '../../src/dead-letters/letters.ts'
import { removeFinished, type JobProducer } from '../../src/platform/bullmq/job.ts'
import { withFailpoint } from '../../src/platform/failpoints.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { isStoreTrouble } from '../../src/platform/store-trouble.ts'
import { letterOfJob } from '../bridge/dead-letters.ts'

const PAUSE_MS = 3_000
const PAGE = 100
/** Tries of the triage, on top of all that were made before; with growing pauses, this takes about an hour. */
const MAX_REPLAYS = 10
const FIRST_PAUSE_MS = 5_000
const LONGEST_PAUSE_MS = 600_000

interface TriageDependencies extends DebtDependencies {
  deadLetters: JobProducer<'dead-letter', DeadLetter>
  log: Logger
}

/** A dead letter as it lies in its queue, with what it owes. */
interface OpenLetter {
  job: Job
  letter: DeadLetter
  debt: Debt
}

export function triage(deps: TriageDependencies): Loop {
  const log = deps.log.child({ step: 'sweep', part: 'triage' })
  const letters = new Pages(deps.deadLetters.queue, 'waiting')
  const failed = producersOf(deps).map(({ queue }) => new Pages(queue, 'failed'))
  return new Loop(
    async () => {
      for (const pages of failed) await pages.next((jobs) => triageFailed(deps, jobs))
      await letters.next((jobs) => triageLetters({ ...deps, log }, jobs))
      return { more: [letters, ...failed].some((pages) => pages.hasMore) }
    },
    PAUSE_MS,
    log,
  )
}

/** Goes through a list a page at a time and begins anew behind its end, so that what stays does not hide the rest. */
class Pages {
  readonly #queue: Queue
  readonly #list: 'waiting' | 'failed'
  #offset = 0

  constructor(queue: Queue, list: 'waiting' | 'failed') {
    this.#queue = queue
    this.#list = list
  }

  get hasMore(): boolean {
    return this.#offset > 0
  }

  /** @param work says how many of the page it has taken out of the list */
  async next(work: (jobs: readonly Job[]) => Promise<number>): Promise<void> {
    const found = await this.#queue.getJobs([this.#list], this.#offset, this.#offset + PAGE - 1, true)
    // Another process may have taken one away between the reading of the list and of the job.
    const jobs = (found as (Job | undefined)[]).filter((job) => job !== undefined)
    const taken = jobs.length === 0 ? 0 : await work(jobs)
    this.#offset = found.length < PAGE ? 0 : this.#offset + found.length - taken
  }
}

/** Jobs whose work is done go; the others get a letter, which a process that died has kept from them. */
async function triageFailed(deps: TriageDependencies, jobs: readonly Job[]): Promise<number> {
  const debts = jobs.map((job) => debtOfJob(job.queueName, job.data))
  const standings = await standingsOf(deps, debts)
  const isSettled = (_job: Job, i: number) => standings[i] === 'settled'
  await deps.deadLetters.addBulk(
    jobs.filter((job, i) => !isSettled(job, i)).map((job) => ({ payload: letterOfJob(exhausted(job)) })),
  )
  const removed = await Promise.all(jobs.filter(isSettled).map(removeFinished))
  return removed.filter(Boolean).length
}

function exhausted(job: Job): Parameters<typeof letterOfJob>[0] {
  return {
    step: job.queueName,
    jobId: job.id ?? '',
    payload: job.data,
    error: job.failedReason ?? 'unknown',
    attempts: job.attemptsMade,
  }
}

async function triageLetters(deps: TriageDependencies, jobs: readonly Job[]): Promise<number> {
  const letters = jobs.flatMap((job): OpenLetter[] => {
    const { data: letter } = deadLetterJob.schema.safeParse(job.data)
    if (letter === undefined) return []
    const debt = debtOf(letter, deps)
    return debt === undefined ? [] : [{ job, letter, debt }]
  })
  const standings = await standingsOf(
    deps,
    letters.map(({ debt }) => debt),
  )
  let removed = 0
  for (const [i, open] of letters.entries())
    if (
      standings[i] === 'settled' ||
      (standings[i] === 'open' && isDue(open.letter) && (await retry(deps, open)))
    ) {
      await open.job.remove()
      deps.log.info(described(open), 'dead letter settled')
      removed++
    }
  return removed
}

function isDue({ replays, replayed_at: replayedAt }: DeadLetter): boolean {
  if (replayedAt === undefined) return true
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** (replays - 1), LONGEST_PAUSE_MS)
  return replays < MAX_REPLAYS && Date.now() - Date.parse(replayedAt) >= pause
}

/** Tries a letter again and counts it. @returns true when the letter is not needed any more */
async function retry(deps: TriageDependencies, open: OpenLetter): Promise<boolean> {
  const { job, letter, debt } = open
  try {
    await withFailpoint('triage.after-revive', () => revive(deps, debt))
    deps.log.info(described(open), 'dead letter tried again')
    if (isHandedOver(letter, debt)) return true
  } catch (error) {
    if (isStoreTrouble(error)) throw error
    deps.log.warn({ ...described(open), err: error }, 'dead letter failed again')
  }
  await stampReplay(job, letter, undefined)
  return false
}

const described = ({ letter, debt }: OpenLetter) => ({
  letter: letter.id,
  origin: letter.origin,
  owes: debt.kind,
  about: debt.id,
  replays: letter.replays,
})
