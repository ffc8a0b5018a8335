/** An admin at work in mid-sale. */
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import type { ShopClient } from '../../client/index.ts'
import { bearer } from '../../tools/lib/api-client.ts'
import type { Cell } from './cell.ts'
import type { RunPlan } from './plan.ts'

/** Adds or cuts stock, or pauses the sale for a moment. Repeated until it is answered. */
export async function editSale(
  stage: { shop: ShopClient; eventId: string; cell: Cell },
  began: number,
  edit: RunPlan['edits'][number],
): Promise<void> {
  await sleep(Math.max(0, began + edit.atMs - Date.now()))
  const { shop, eventId } = stage
  const headers = bearer(stage.cell.admin.token)
  const params = { path: { id: eventId } }
  if (edit.kind === 'stock') {
    const keyed = { ...params, header: { 'Idempotency-Key': uuidv7() } }
    const body = { delta: edit.delta, reason: 'a change in mid-sale' }
    return untilAnswered(() => shop.POST('/api/v1/spike-events/{id}/stock', { headers, params: keyed, body }))
  }
  await untilAnswered(() => shop.POST('/api/v1/spike-events/{id}/pause', { headers, params }))
  await sleep(500)
  await untilAnswered(() => shop.POST('/api/v1/spike-events/{id}/resume', { headers, params }))
}

/** Half a minute at most: no fault takes longer. */
async function untilAnswered(request: () => Promise<{ response: Response }>): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(200)) {
    try {
      if ((await request()).response.status < 500) return
    } catch {
      // The API is down: the next try may find it up.
    }
  }
}
