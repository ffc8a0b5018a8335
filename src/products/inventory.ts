import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'

/**
 * Adds `delta` units to a product's inventory and writes the ledger row, in the caller's transaction.
 * Locks the product's inventory row, which comes last in the lock order.
 * @returns false when the product has no inventory or too few units; nothing is changed then
 */
export async function moveInventory(
  trx: Knex.Transaction,
  move: { productId: string; delta: number; reason: string; reference: string; actorId?: string | undefined },
): Promise<boolean> {
  const changed = await trx('inventory')
    .where('product_id', move.productId)
    .andWhereRaw('stock + ? >= 0', [move.delta])
    .update({
      stock: trx.raw('stock + ?', [move.delta]),
      version: trx.raw('version + 1'),
      updated_at: trx.fn.now(),
    })
  if (changed === 0) return false
  await trx('inventory_movements').insert({
    id: uuidv7(),
    product_id: move.productId,
    delta: move.delta,
    reason: move.reason,
    reference: move.reference,
    actor_id: move.actorId ?? null,
  })
  return true
}
