/**
 * The net's slow part: looks for what the queues have forgotten. Every action is idempotent by its id, so any
 * number of workers may sweep at the same time.
 */
import type { Knex } from 'knex'
import type { CreateOrderPayload } from '../../src/contracts/jobs/create-order.ts'
import { closeLapsedOrders, overdueOrders } from '../../src/orders/close.ts'
import { undecidedRids } from '../../src/orders/inbox.ts'
import type { JobProducer } from '../../src/platform/bullmq/job.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { endSale, followEvent, type SaleDependencies } from '../../src/sale.ts'
import { followedEventIds, overdueEventIds } from '../../src/spike-events/model.ts'
import { SYSTEM } from '../../src/spike-events/transitions.ts'

const PAUSE_MS = 5_000
const UNDECIDED_AFTER_S = 5
const MAX_ROWS = 200

interface SweepDependencies {
  sale: SaleDependencies
  createOrders: JobProducer<'create-order', CreateOrderPayload>
  log: Logger
}

export function sweep(deps: SweepDependencies): Loop {
  const log = deps.log.child({ step: 'sweep' })
  const { knex } = deps.sale
  return new Loop(
    async () => {
      const closed = await closeOverdue(knex)
      const revived = await reviveUndecided(knex, deps.createOrders)
      for (const id of await overdueEventIds(knex)) await endSale(deps.sale, id, SYSTEM)
      for (const id of await followedEventIds(knex)) await followEvent(deps.sale, id)
      if (closed + revived > 0) log.info({ closed, revived }, 'swept')
      return { more: closed === MAX_ROWS }
    },
    PAUSE_MS,
    log,
  )
}

/** PostgreSQL is the authority on deadlines; the delayed jobs only make closing prompt. */
async function closeOverdue(knex: Knex): Promise<number> {
  const ids = await overdueOrders(knex, MAX_ROWS)
  if (ids.length === 0) return 0
  const closings = await closeLapsedOrders(knex, ids)
  return closings.filter((closing) => closing.kind === 'closed').length
}

/** An inbox row without a verdict has lost its job, or the job has failed: it gets one again. */
async function reviveUndecided(knex: Knex, createOrders: SweepDependencies['createOrders']): Promise<number> {
  const rids = await undecidedRids(knex, UNDECIDED_AFTER_S, MAX_ROWS)
  for (const rid of rids) await createOrders.ensure({ rid })
  return rids.length
}
