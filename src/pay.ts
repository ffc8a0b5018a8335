/** A payment's callback: PostgreSQL first, then Redis is told, so that SOLD_OUT and ALL_HELD stay apart. */
import type { Knex } from 'knex'
import { applyCallback, type Callback, type CallbackResult } from './payments/callback.ts'
import type { Logger } from './platform/logger.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import type { spikeScripts } from './reserve/scripts.ts'

interface PayDependencies {
  knex: Knex
  scripts: Pick<Scripts<typeof spikeScripts>, 'markPaid'>
  log: Logger
}

export async function settlePayment(
  deps: PayDependencies,
  provider: string,
  callback: Callback,
): Promise<CallbackResult> {
  const result = await applyCallback(deps.knex, provider, callback)
  if (result.kind === 'paid' && result.eventId !== null && result.reservationId !== null)
    await deps.scripts
      .markPaid({ eventId: result.eventId, rid: result.reservationId })
      .catch((error: unknown) =>
        // The payment stands. Until Redis hears of it, buyers read ALL_HELD where SOLD_OUT is true.
        deps.log.warn({ err: error, rid: result.reservationId }, 'redis was not told of a payment'),
      )
  return result
}
