/** Step 6: gives units back to Redis by rid, once. PostgreSQL has let go of them already. */
import type { StockReleased } from '../../src/contracts/messages/stock-released.ts'
import type { JobHandler } from '../../src/platform/bullmq/worker.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'

export function releaseStockHandler(deps: {
  scripts: Pick<Scripts<typeof spikeScripts>, 'release'>
}): JobHandler<StockReleased> {
  return async (released) => {
    const reply = await deps.scripts.release({
      eventId: released.event_id,
      rid: released.rid,
      userId: released.user_id,
      quantity: released.quantity,
      reason: released.reason,
    })
    if (reply === 'NOT_READY') throw new Error('the event has no gate in redis yet')
    return reply === 'UNCHANGED'
      ? { kind: 'skipped', why: 'released before' }
      : { kind: 'done', result: { reply } }
  }
}
