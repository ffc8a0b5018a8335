import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { findMade, noteMade } from '../platform/postgres/once.ts'

/** How many units people may bring an inventory to. Units that come back may pass it: they are never refused. */
export const MAX_STOCK = 100_000_000
const MAX_INT4 = 2_147_483_647

export interface Inventory {
  product_id: string
  stock: number
  version: number
  updated_at: Date
}

/** Row of the ledger: a product's deltas add up to its stock. */
export interface InventoryMovement {
  id: string
  product_id: string
  delta: number
  reason: string
  reference: string | null
  actor_id: string | null
  created_at: Date
}

/**
 * Adds `delta` units to a product's inventory and writes the ledger row, in the caller's transaction.
 * Locks the product's inventory row, which comes last in the lock order. Takes back units of deleted products.
 * @returns false when the product has no inventory, too few units, or no room to count them; nothing is changed then
 */
export async function moveInventory(
  trx: Knex.Transaction,
  move: {
    productId: string
    delta: number
    reason: string
    /** What the units went to or came from, for those that people did not move by hand. */
    reference?: string | undefined
    actorId?: string | undefined
  },
): Promise<boolean> {
  const changed = await trx('inventory')
    .where('product_id', move.productId)
    .andWhereRaw('stock::bigint + ? BETWEEN 0 AND ?', [move.delta, MAX_INT4])
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
    reference: move.reference ?? null,
    actor_id: move.actorId ?? null,
  })
  return true
}

export type Adjusted =
  { kind: 'adjusted'; inventory: Inventory } | { kind: 'not_found' | 'insufficient_stock' | 'stock_limit' }

/** A person adds units or takes some out. */
export function adjustInventory(
  knex: Knex,
  { productId, delta, reason }: { productId: string; delta: number; reason: string },
  actor: Actor,
): Promise<Adjusted> {
  const request = { userId: actor.userId, operation: 'inventory.adjust', key: actor.idempotencyKey }
  return knex.transaction(async (trx): Promise<Adjusted> => {
    const before = await inventoryOf(trx, productId).forUpdate('inventory')
    if (before === undefined) return { kind: 'not_found' }
    if ((await findMade(trx, request)) !== undefined) return { kind: 'adjusted', inventory: before }
    const stock = before.stock + delta
    if (stock < 0) return { kind: 'insufficient_stock' }
    if (delta > 0 && stock > MAX_STOCK) return { kind: 'stock_limit' }
    await noteMade(trx, request, productId)
    const moved = await moveInventory(trx, { productId, delta, reason, actorId: actor.userId })
    if (!moved) throw new Error(`inventory of ${productId} changed while it was locked`)
    const change = { stock, delta, reason }
    await recordAudit(trx, actor, 'inventory.adjust', productId, { stock: before.stock }, change)
    return { kind: 'adjusted', inventory: (await inventoryOf(trx, productId)) ?? before }
  })
}

/** The inventory of a product that is not deleted, or undefined. */
export async function readInventory(knex: Knex, productId: string): Promise<Inventory | undefined> {
  return inventoryOf(knex, productId)
}

/** One page of a product's ledger, the newest first; undefined when there is no such product. */
export async function listMovements(
  knex: Knex,
  productId: string,
  { page, pageSize }: { page: number; pageSize: number },
): Promise<{ items: InventoryMovement[]; total: number } | undefined> {
  if ((await inventoryOf(knex, productId)) === undefined) return undefined
  const ofProduct = () => knex('inventory_movements').where('product_id', productId)
  const [items, count] = await Promise.all([
    ofProduct()
      .orderBy([
        { column: 'created_at', order: 'desc' },
        { column: 'id', order: 'desc' },
      ])
      .offset((page - 1) * pageSize)
      .limit(pageSize),
    ofProduct().count({ total: '*' }).first(),
  ])
  return { items, total: Number(count?.total) }
}

function inventoryOf(knex: Knex, productId: string): Knex.QueryBuilder<Inventory, Inventory | undefined> {
  return knex('inventory')
    .join('products', 'products.id', 'inventory.product_id')
    .where({ 'inventory.product_id': productId, 'products.deleted_at': null })
    .first<Inventory | undefined>('inventory.*')
}

/** What the API tells of an inventory. */
export function presentInventory({ product_id, stock, version, updated_at }: Inventory) {
  return { product_id, stock, version, updated_at: updated_at.toISOString() }
}

/** What the API tells of a row of the ledger. */
export function presentMovement({ created_at, ...movement }: InventoryMovement) {
  return { ...movement, created_at: created_at.toISOString() }
}
