import type { Knex } from 'knex'
import { Model } from 'objection'

/** Row of `products`; `price` is in minor units of `currency`. */
export class Product extends Model {
  static override get tableName(): string {
    return 'products'
  }
  declare id: string
  declare sku: string
  declare name: string
  declare description: string
  declare price: number
  declare currency: string
  declare version: number
  declare deleted_at: Date | null
  declare created_at: Date
  declare updated_at: Date
}

/** Fields that a list of products may be sorted by. */
export const PRODUCT_SORTS = ['name', 'price', 'created_at'] as const

export interface ProductPage {
  page: number
  pageSize: number
  sort: (typeof PRODUCT_SORTS)[number]
  direction: 'asc' | 'desc'
}

/** One page of the products that are not deleted. */
export async function listProducts(
  knex: Knex,
  { page, pageSize, sort, direction }: ProductPage,
): Promise<{ items: Product[]; total: number }> {
  const { results, total } = await Product.query(knex)
    .whereNull('deleted_at')
    .orderBy([{ column: sort, order: direction }, { column: 'id' }])
    .page(page - 1, pageSize)
  return { items: results, total }
}

export function presentProduct(product: Product) {
  const { id, sku, name, description, price, currency, version } = product
  const times = { created_at: product.created_at.toISOString(), updated_at: product.updated_at.toISOString() }
  return { id, sku, name, description, price, currency, version, ...times }
}
