/** Step 4: asks PostgreSQL for the verdict on a reservation, then tells Redis. */
import type { Knex } from 'knex'
import type { CreateOrderPayload } from '../../src/contracts/jobs/create-order.ts'
import { decideReservations, type Verdict } from '../../src/orders/decide.ts'
import { createBatcher } from '../../src/platform/batcher.ts'
import type { JobHandler, JobOutcome } from '../../src/platform/bullmq/worker.ts'
import { withFailpoint } from '../../src/platform/failpoints.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { isTransient } from '../../src/platform/postgres/transaction.ts'
import { inTrace, spanInEach } from '../../src/platform/telemetry/trace.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'

interface CreateOrderDependencies {
  knex: Knex
  scripts: Pick<Scripts<typeof spikeScripts>, 'confirm' | 'markPaid'>
  log: Logger
}

const MAX_BATCH = 100
const MAX_WAIT_MS = 4

/** Jobs that run at the same time are decided in one transaction; each job has its own outcome and its own retries. */
export function createOrderHandler(deps: CreateOrderDependencies): JobHandler<CreateOrderPayload> {
  const log = deps.log.child({ step: 'create-order' })
  const decide = createBatcher<string, Verdict>({
    serve: async (rids, traceparents) => {
      const verdicts = await withFailpoint('create-order.after-commit', () =>
        spanInEach('sql decide', { kind: 'CLIENT', outcome: kindOfVerdict }, traceparents, () =>
          decideReservations(deps.knex, rids),
        ),
      )
      await withFailpoint('create-order.after-apply', () =>
        applyVerdicts(deps.scripts, verdicts, log, traceparents),
      )
      return verdicts
    },
    blamesAll: isTransient,
    maxBatch: MAX_BATCH,
    maxWaitMs: MAX_WAIT_MS,
  })
  return async ({ rid }) => {
    const verdict = await decide(rid)
    // A rid that late money has made has no entry in the reservation log: nobody but this job would tell Redis.
    if (verdict.kind === 'ordered' && verdict.paid) await applyOrdered(deps.scripts, verdict)
    return outcomeOf(verdict)
  }
}

/**
 * Tells Redis of the orders of a batch, all in one pipeline. A void needs nothing here: its units go back by
 * the outbox. What Redis misses is applied by the relay, from the reservation log.
 */
export async function applyVerdicts(
  scripts: CreateOrderDependencies['scripts'],
  verdicts: readonly Verdict[],
  log: Logger,
  traceparents: readonly (string | undefined)[] = [],
): Promise<void> {
  const replies = await Promise.allSettled(
    verdicts.map((verdict, i) =>
      verdict.kind === 'ordered'
        ? inTrace(traceparents[i], () => applyOrdered(scripts, verdict))
        : Promise.resolve(),
    ),
  )
  const failed = replies.filter((reply) => reply.status === 'rejected')
  if (failed.length > 0)
    log.warn({ err: failed[0]?.reason, count: failed.length }, 'verdicts not applied, left to the relay')
}

/**
 * Tells Redis of an order; both go out in one pipeline, in this order. A claim that is not live any more was released,
 * or is about to be: a late word on it must not take its unit again.
 */
export async function applyOrdered(
  scripts: CreateOrderDependencies['scripts'],
  verdict: Extract<Verdict, { kind: 'ordered' }>,
): Promise<void> {
  if (!verdict.live) return
  const confirmed = scripts.confirm(verdict)
  const paid = verdict.paid ? scripts.markPaid(verdict) : undefined
  await Promise.all([confirmed, paid])
}

const kindOfVerdict = (verdicts: readonly Verdict[], i: number): string => verdicts[i]?.kind ?? 'unknown'

function outcomeOf(verdict: Verdict): JobOutcome {
  switch (verdict.kind) {
    case 'ordered':
      return { kind: 'done', result: { order_id: verdict.orderId } }
    case 'void':
      return { kind: 'done', result: { void: verdict.reason } }
    case 'unknown':
      return { kind: 'giveUp', why: 'no such reservation was received from the broker' }
  }
}
