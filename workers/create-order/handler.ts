/** Step 4: asks PostgreSQL for the verdict on a reservation, then tells Redis. */
import type { Knex } from 'knex'
import type { CreateOrderPayload } from '../../src/contracts/jobs/create-order.ts'
import { decideReservations, type Verdict } from '../../src/orders/decide.ts'
import { createBatcher } from '../../src/platform/batcher.ts'
import type { JobHandler, JobOutcome } from '../../src/platform/bullmq/worker.ts'
import { withFailpoint } from '../../src/platform/failpoints.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { isTransient } from '../../src/platform/postgres/transaction.ts'
import { spanInEach } from '../../src/platform/telemetry/trace.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'

interface CreateOrderDependencies {
  knex: Knex
  scripts: Pick<Scripts<typeof spikeScripts>, 'confirm' | 'markPaid'>
  log: Logger
}

type Ordered = Extract<Verdict, { kind: 'ordered' }>

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
    if (verdict.kind === 'ordered' && verdict.paid) await applyOrdered(deps.scripts, [verdict])
    return outcomeOf(verdict)
  }
}

/**
 * Tells Redis of the orders of a batch. A void needs nothing here: its units go back by the outbox. What Redis misses is
 * applied by the relay, from the reservation log.
 */
export async function applyVerdicts(
  scripts: CreateOrderDependencies['scripts'],
  verdicts: readonly Verdict[],
  log: Logger,
  traceparents: readonly (string | undefined)[] = [],
): Promise<void> {
  const told = verdicts.flatMap((verdict, i) =>
    verdict.kind === 'ordered' ? [{ verdict, traceparent: traceparents[i] }] : [],
  )
  const orders = told.map(({ verdict }) => verdict)
  try {
    await spanInEach(
      'redis confirm',
      { kind: 'CLIENT' },
      told.map(({ traceparent }) => traceparent),
      () => applyOrdered(scripts, orders),
    )
  } catch (err) {
    const eventIds = [...new Set(orders.map(({ eventId }) => eventId))]
    log.warn({ err, eventIds, count: orders.length }, 'verdicts not applied, or not all, left to the relay')
  }
}

/**
 * Tells Redis of orders, over one connection and in this order. A claim that is not live any more was released, or
 * is about to be: a late word on it must not take its unit again.
 */
export async function applyOrdered(
  scripts: CreateOrderDependencies['scripts'],
  verdicts: readonly Ordered[],
): Promise<void> {
  const live = verdicts.filter((verdict) => verdict.live)
  const byEvent = new Map<string, Ordered[]>()
  for (const order of live) {
    const known = byEvent.get(order.eventId)
    if (known === undefined) byEvent.set(order.eventId, [order])
    else known.push(order)
  }
  const confirmed = scripts.confirm([...byEvent].map(([eventId, orders]) => ({ eventId, orders })))
  const paid = live.filter((order) => order.paid).map((order) => scripts.markPaid(order))
  await Promise.all([confirmed, ...paid])
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
