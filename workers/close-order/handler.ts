/** Step 5: closes an order at its deadline, if it is still unpaid. PostgreSQL's clock has the say. */
import type { Knex } from 'knex'
import type { CloseOrderPayload } from '../../src/contracts/jobs/close-order.ts'
import { closeLapsedOrders, type Closing } from '../../src/orders/close.ts'
import { createBatcher } from '../../src/platform/batcher.ts'
import type { JobHandler, JobOutcome } from '../../src/platform/bullmq/worker.ts'
import { withFailpoint } from '../../src/platform/failpoints.ts'
import { spanInEach } from '../../src/platform/telemetry/trace.ts'
import { isTransient } from '../../src/platform/postgres/transaction.ts'

const MAX_BATCH = 100
const MAX_WAIT_MS = 4

/** Deadlines of a sale fall together, so the jobs that are due are closed in one transaction. */
export function closeOrderHandler(deps: { knex: Knex }): JobHandler<CloseOrderPayload> {
  const close = createBatcher<string, Closing>({
    serve: (orderIds, traceparents) =>
      withFailpoint('close-order.after-commit', () =>
        spanInEach('sql close', { kind: 'CLIENT', outcome: kindOfClosing }, traceparents, () =>
          closeLapsedOrders(deps.knex, orderIds),
        ),
      ),
    blamesAll: isTransient,
    maxBatch: MAX_BATCH,
    maxWaitMs: MAX_WAIT_MS,
  })
  return async ({ order_id: orderId }) => outcomeOf(await close(orderId))
}

const kindOfClosing = (closings: readonly Closing[], i: number): string => closings[i]?.kind ?? 'unknown'

function outcomeOf(closing: Closing): JobOutcome {
  switch (closing.kind) {
    case 'closed':
      return { kind: 'done', result: { closed: 'lapsed' } }
    case 'not_due':
      return { kind: 'later', delayMs: closing.inMs + 1 }
    case 'not_pending':
      return { kind: 'skipped', why: `order is ${closing.status}` }
    case 'unknown':
      return { kind: 'giveUp', why: 'no such order' }
  }
}
