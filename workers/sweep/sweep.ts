/**
 * The net's slow part: looks for what the queues have forgotten. Every action is idempotent by its id, so any
 * number of workers may sweep at the same time.
 */
import { SYSTEM } from '../../src/audit/audit.ts'
import type { Queue } from 'bullmq'
import type { Knex } from 'knex'
import { createOrderJob, type CreateOrderPayload } from '../../src/contracts/jobs/create-order.ts'
import { closeLapsedOrders, overdueOrders } from '../../src/orders/close.ts'
import { undecidedReservations } from '../../src/orders/inbox.ts'
import type { JobProducer } from '../../src/platform/bullmq/job.ts'
import { readTraceparent } from '../../src/platform/telemetry/traceparent.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { lostRebuilder, type RebuildDependencies } from '../../src/rebuild.ts'
import { endSale, followEvent, type SaleDependencies } from '../../src/sale.ts'
import { followedEventIds, overdueEventIds } from '../../src/spike-events/model.ts'
import { forEachEvent } from '../for-each-event.ts'

const PAUSE_MS = 5_000
const UNDECIDED_AFTER_S = 5
const MAX_ROWS = 200

/**
 * Closes orders whose job was lost. PostgreSQL is the authority on deadlines; the delayed jobs only make closing
 * prompt. A loop of its own, because nothing but PostgreSQL may hold it up.
 */
export function closeOverdue(deps: { knex: Knex; log: Logger }): Loop {
  const log = deps.log.child({ step: 'sweep', part: 'overdue' })
  return new Loop(
    async () => {
      const ids = await overdueOrders(deps.knex, MAX_ROWS)
      if (ids.length === 0) return { more: false }
      const closings = await closeLapsedOrders(deps.knex, ids)
      log.info(
        { closed: closings.filter((closing) => closing.kind === 'closed').length },
        'overdue orders closed',
      )
      return { more: ids.length === MAX_ROWS }
    },
    PAUSE_MS,
    log,
  )
}

interface CatchUpDependencies {
  sale: SaleDependencies
  rebuild: RebuildDependencies
  createOrders: JobProducer<'create-order', CreateOrderPayload>
  log: Logger
}

/**
 * Ends sales whose window is over, rebuilds what Redis has lost, brings gates and units after PostgreSQL, and revives
 * undecided reservations.
 */
export function catchUp(deps: CatchUpDependencies): Loop {
  const log = deps.log.child({ step: 'sweep', part: 'catch-up' })
  const { knex } = deps.sale
  return new Loop(
    async () => {
      await forEachEvent(await overdueEventIds(knex), log, (id) => endSale(deps.sale, id, SYSTEM))
      const eventIds = await followedEventIds(knex)
      // First of all: nobody can buy where Redis has lost an event. Workers share them by their locks.
      await forEachEvent(eventIds, log, lostRebuilder(deps.rebuild))
      await forEachEvent(eventIds, log, (id) => followEvent(deps.sale, id))
      const revived = await reviveUndecided(knex, deps.createOrders)
      if (revived > 0) log.info({ revived }, 'undecided reservations queued again')
      return { more: false }
    },
    PAUSE_MS,
    log,
  )
}

/**
 * An inbox row without a verdict has lost its job, or the job has failed: it gets one again. What was received after the
 * oldest job that waits has its turn still to come: behind a long backlog, asking for each of its jobs is work for nothing.
 */
export async function reviveUndecided(
  knex: Knex,
  createOrders: CatchUpDependencies['createOrders'],
): Promise<number> {
  const before = await oldestWaiting(createOrders.queue)
  let revived = 0
  for (let after: string | undefined; ;) {
    const rows = await undecidedReservations(knex, {
      olderThanS: UNDECIDED_AFTER_S,
      before,
      limit: MAX_ROWS,
      after,
    })
    await Promise.all(
      rows.map(({ rid, traceparent }) => createOrders.ensure({ rid }, readTraceparent(traceparent))),
    )
    revived += rows.length
    if (rows.length < MAX_ROWS) return revived
    after = rows.at(-1)?.rid
  }
}

/** The rid of the create-order job that is next; undefined when none waits, or one that carries no rid. */
async function oldestWaiting(queue: Queue): Promise<string | undefined> {
  const [job] = await queue.getWaiting(0, 0)
  return createOrderJob.schema.safeParse(job?.data).data?.rid
}
