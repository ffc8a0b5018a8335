/**
 * Step 6: gives units back to Redis by rid, once. The job only says which: PostgreSQL is asked whether it has let go of
 * the units, and how many they are, so that no message and no job can free what is sold.
 */
import type { Knex } from 'knex'
import type { ReleaseStockPayload } from '../../src/contracts/jobs/release-stock.ts'
import { holdsOf, type Hold } from '../../src/orders/holds.ts'
import { createBatcher } from '../../src/platform/batcher.ts'
import type { JobHandler, JobOutcome } from '../../src/platform/bullmq/worker.ts'
import { failpoint, withFailpoint } from '../../src/platform/failpoints.ts'
import { isTransient } from '../../src/platform/postgres/transaction.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'

const MAX_BATCH = 100
const MAX_WAIT_MS = 4

interface ReleaseStockDependencies {
  knex: Knex
  scripts: Pick<Scripts<typeof spikeScripts>, 'release'>
}

/** Deadlines of a sale fall together, and so do the releases: PostgreSQL is asked once for many. */
export function releaseStockHandler({
  knex,
  scripts,
}: ReleaseStockDependencies): JobHandler<ReleaseStockPayload> {
  const ask = createBatcher<string, Hold>({
    serve: (rids) => holdsOf(knex, rids),
    blamesAll: isTransient,
    maxBatch: MAX_BATCH,
    maxWaitMs: MAX_WAIT_MS,
  })
  return async ({ rid }) => {
    const hold = await ask(rid)
    switch (hold.kind) {
      case 'gone':
        return release(scripts, hold)
      case 'held':
        return { kind: 'giveUp', why: 'PostgreSQL has not let go of its units' }
      case 'unknown':
        return { kind: 'giveUp', why: 'no such reservation was received from the broker' }
    }
  }
}

async function release(
  scripts: ReleaseStockDependencies['scripts'],
  hold: Extract<Hold, { kind: 'gone' }>,
): Promise<JobOutcome> {
  await failpoint('release-stock.before-script')
  const reply = await withFailpoint('release-stock.after-script', () => scripts.release(hold))
  if (reply === 'UNCHANGED') return { kind: 'skipped', why: 'released before' }
  if (reply !== 'NOT_READY') return { kind: 'done', result: { reply } }
  // Nothing was taken from a sale that does not exist.
  if (hold.reason === 'unknown_event') return { kind: 'skipped', why: 'there is no such event' }
  throw new Error('the event has no gate in redis yet')
}
