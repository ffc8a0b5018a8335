/** The changes of products, one transaction each, each with its audit row. */
import type { Knex } from 'knex'
import { raw, UniqueViolationError } from 'objection'
import { v7 as uuidv7 } from 'uuid'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { moveInventory } from './inventory.ts'
import { Product } from './model.ts'

type SkuTaken = { kind: 'sku_taken' }
type Unchanged = { kind: 'not_found' } | { kind: 'other_version' }

export interface NewProduct {
  sku: string
  name: string
  description: string
  price: number
  currency: string
  /** Units in the inventory to begin with. */
  stock: number
}

/** Makes a product with its inventory. A SKU names one product for good, also after it was deleted. */
export function createProduct(
  knex: Knex,
  { stock, ...fields }: NewProduct,
  actor: Actor,
): Promise<{ kind: 'created'; product: Product } | SkuTaken> {
  return unlessSkuTaken(() =>
    knex.transaction(async (trx) => {
      const product = await Product.query(trx).insertAndFetch({ id: uuidv7(), ...fields })
      await trx('inventory').insert({ id: uuidv7(), product_id: product.id, stock: 0 })
      if (stock > 0)
        await moveInventory(trx, {
          productId: product.id,
          delta: stock,
          reason: 'initial stock',
          actorId: actor.userId,
        })
      await recordAudit(trx, actor, 'product.create', product.id, null, { ...fields, stock })
      return { kind: 'created' as const, product }
    }),
  )
}

export type ProductFields = Pick<Product, 'sku' | 'name' | 'description' | 'price'>

/** @param version that the caller has seen; undefined changes whatever is there */
export function patchProduct(
  knex: Knex,
  id: string,
  version: number | undefined,
  fields: { [F in keyof ProductFields]?: ProductFields[F] | undefined },
  actor: Actor,
): Promise<{ kind: 'patched'; product: Product } | Unchanged | SkuTaken> {
  return unlessSkuTaken(() =>
    knex.transaction(async (trx) => {
      const before = await lockVersion(trx, id, version)
      if ('kind' in before) return before
      const product = await change(trx, id, fields)
      await recordAudit(trx, actor, 'product.patch', id, pick(before, fields), fields)
      return { kind: 'patched' as const, product }
    }),
  )
}

/**
 * Takes a product out of the shop; orders keep it. Whoever starts to sell a product locks its row FOR SHARE
 * first, which waits for this, or makes this wait and see the new sale.
 * @param version that the caller has seen; undefined deletes whatever is there
 */
export function deleteProduct(
  knex: Knex,
  id: string,
  version: number | undefined,
  actor: Actor,
): Promise<{ kind: 'deleted'; version: number } | { kind: 'on_sale'; eventId: string } | Unchanged> {
  return knex.transaction(async (trx) => {
    const before = await lockVersion(trx, id, version)
    if ('kind' in before) return before
    const sale = await trx('spike_events').where('product_id', id).whereNot('status', 'ended').first('id')
    if (sale !== undefined) return { kind: 'on_sale', eventId: sale.id }
    const product = await change(trx, id, { deleted_at: raw('now()') })
    await recordAudit(trx, actor, 'product.delete', id, { sku: before.sku, name: before.name }, null)
    return { kind: 'deleted', version: product.version }
  })
}

/**
 * Locks a product that is not deleted, so that of two changes to one version the second finds another version.
 * @param mode `forNoKeyUpdate` lets those who sell the product go on
 */
async function lockVersion(
  trx: Knex.Transaction,
  id: string,
  version: number | undefined,
): Promise<Product | Unchanged> {
  const product = await Product.query(trx).findById(id).whereNull('deleted_at').forNoKeyUpdate()
  if (product === undefined) return { kind: 'not_found' }
  if (version !== undefined && version !== product.version) return { kind: 'other_version' }
  return product
}

/** Changes a product that the caller has locked. */
async function change(trx: Knex.Transaction, id: string, fields: object): Promise<Product> {
  const [product] = await Product.query(trx)
    .where({ id })
    .patch({ ...fields, version: raw('version + 1'), updated_at: raw('now()') })
    .returning('*')
  if (product === undefined) throw new Error(`product ${id} is locked but gone`)
  return product
}

function pick(product: Product, fields: object): object {
  return Object.fromEntries(Object.keys(fields).map((key) => [key, product[key as keyof Product]]))
}

async function unlessSkuTaken<T>(work: () => Promise<T>): Promise<T | SkuTaken> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof UniqueViolationError && error.constraint === 'products_sku_unique')
      return { kind: 'sku_taken' }
    throw error
  }
}
