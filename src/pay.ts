/** The use cases of the payment provider's callbacks. PostgreSQL first; then Redis is told. */
import type { Knex } from 'knex'
import pLimit from 'p-limit'
import { reacquireOrder, type LateClaim, type Reacquired, type SaleView } from './orders/reacquire.ts'
import {
  applyCallback,
  recordLateCapture,
  type Callback,
  type CallbackResult,
  type LateOrder,
  type PaymentCallback,
} from './payments/callback.ts'
import { applyRefund, openRefund, type RefundResult } from './payments/refunds.ts'
import { failpoint } from './platform/failpoints.ts'
import type { Logger } from './platform/logger.ts'
import { retryingTransaction } from './platform/postgres/transaction.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import type { RedisClient } from './platform/redis/nodes.ts'
import { spikeKeys } from './reserve/keys.ts'
import { newRid, type RidKey } from './reserve/rid.ts'
import type { spikeScripts } from './reserve/scripts.ts'

interface PayDependencies {
  knex: Knex
  redis: RedisClient
  scripts: Pick<Scripts<typeof spikeScripts>, 'markPaid'>
  /** Makes the rid of a unit that is bought again. */
  ridKey: RidKey
  log: Logger
}

/**
 * Payments of one event look for room one after the other. They wait here, not with a connection of the pool each: a
 * provider that was down for minutes tells of hundreds of late payments at once.
 */
const lateMoney = pLimit(4)

/** What a callback did. `paid_late`: the order had lapsed and got its units again. */
export type Settlement =
  Exclude<CallbackResult['kind'], 'late'> | RefundResult['kind'] | 'paid_late' | 'refund_opened'

/** Applies a callback of the provider, once by its transaction id. Captured money is a paid order or a refund. */
export async function settlePayment(
  deps: PayDependencies,
  provider: string,
  callback: Callback,
): Promise<Settlement> {
  if (callback.kind === 'refunded') return (await applyRefund(deps.knex, provider, callback)).kind
  const result = await applyCallback(deps.knex, provider, callback)
  await failpoint('pay.after-commit')
  if (result.kind === 'late') return lateMoney(() => settleLate(deps, provider, callback))
  if (result.kind !== 'paid') return result.kind
  // Tells SOLD_OUT and ALL_HELD apart. The payment stands; until Redis hears of it, buyers read ALL_HELD.
  const { eventId, reservationId: rid } = result
  if (eventId !== null && rid !== null)
    await deps.scripts
      .markPaid({ eventId, rid })
      .catch((error: unknown) => deps.log.warn({ err: error, rid }, 'redis was not told of a payment'))
  return 'paid'
}

/**
 * Money for an order that is not pending any more. One that lapsed gets its units again when nobody holds them: the buyer
 * pays for what they wanted. One that was cancelled, or is paid already, does not: its money goes back.
 */
function settleLate(deps: PayDependencies, provider: string, callback: PaymentCallback): Promise<Settlement> {
  return retryingTransaction(deps.knex, async (trx): Promise<Settlement> => {
    const order = await recordLateCapture(trx, provider, callback)
    if (order === undefined) return 'seen_before'
    const reacquired = await reacquireLapsed(deps, trx, order)
    if (reacquired === undefined) {
      await openRefund(
        trx,
        provider,
        callback,
        order.id,
        order.status === 'closed' ? 'order_closed' : 'already_paid',
      )
      return 'refund_opened'
    }
    deps.log.info({ orderId: order.id, rid: reacquired.claim?.rid }, 'late money bought the units again')
    return 'paid_late'
  })
}

async function reacquireLapsed(
  { redis, ridKey, log }: PayDependencies,
  trx: Knex.Transaction,
  order: LateOrder,
): Promise<{ claim: Reacquired } | undefined> {
  if (order.close_reason !== 'lapsed') return undefined
  const hasRoom: SaleView['hasRoom'] = async (eventId, units, earlier) => {
    try {
      return (await freeUnits(redis, eventId, earlier)) >= units
    } catch (error) {
      log.warn({ err: error, eventId }, 'stock not read for late money, which goes back then')
      return false
    }
  }
  const newOwnRid = (eventId: string, userId: string) => newRid(eventId, userId, ridKey)
  return reacquireOrder(trx, order, { newRid: newOwnRid, hasRoom })
}

/** What Redis has left, less what late money has bought and Redis has not adopted yet; both of one read. */
async function freeUnits(
  redis: RedisClient,
  eventId: string,
  earlier: readonly LateClaim[],
): Promise<number> {
  const { stock, states } = spikeKeys(eventId)
  const read = redis.multi().get(stock)
  for (const { rid } of earlier) read.hexists(states, rid)
  const replies = (await read.exec()) ?? []
  const failed = replies.find(([error]) => error !== null)
  if (failed !== undefined) throw failed[0]
  const [left, ...known] = replies.map(([, reply]) => Number(reply))
  return earlier.reduce((free, { quantity }, i) => (known[i] === 1 ? free : free - quantity), left ?? 0)
}
