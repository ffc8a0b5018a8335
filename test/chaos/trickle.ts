/** A few purchases every second, one after the other, and when each was answered what. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ShopClient } from '../../client/index.ts'
import { bearer, errorOf } from '../../tools/lib/api-client.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'

export interface Purchase {
  sentAtMs: number
  answeredAtMs: number
  /** `queued` or `reserving`, the name of an error, or nothing for a connection that broke. */
  answer: string | undefined
  rid: string | undefined
}

export interface Trickle {
  readonly purchases: readonly Purchase[]
  stop(): Promise<void>
}

export function startTrickle(options: {
  shop: ShopClient
  eventId: string
  /** Each comes once, for as long as they last. */
  buyers: IterableIterator<LoadBuyer>
  everyMs: number
}): Trickle {
  const purchases: Purchase[] = []
  const open = new Set<Promise<void>>()
  const stopped = new AbortController()
  const send = async ({ access_token }: LoadBuyer) => {
    const sentAtMs = Date.now()
    const answer = await press(options, access_token).catch(() => undefined)
    purchases.push({ sentAtMs, answeredAtMs: Date.now(), answer: answer?.name, rid: answer?.rid })
  }
  const running = (async () => {
    for (const buyer of options.buyers) {
      if (stopped.signal.aborted) return
      const purchase = send(buyer).finally(() => open.delete(purchase))
      open.add(purchase)
      await sleep(options.everyMs)
    }
  })()
  return {
    purchases,
    async stop() {
      stopped.abort()
      await running
      await Promise.all(open)
    },
  }
}

async function press(
  { shop, eventId }: { shop: ShopClient; eventId: string },
  token: string,
): Promise<{ name: string; rid: string | undefined }> {
  const result = await shop.POST('/api/v1/spike-events/{id}/orders', {
    headers: bearer(token),
    params: { path: { id: eventId } },
    body: {},
  })
  const told = result.data?.data
  return told === undefined
    ? { name: errorOf(result), rid: undefined }
    : { name: told.status, rid: told.reservation_id }
}
