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

/** One product, or undefined when there is none or it was deleted. */
export function findProduct(knex: Knex, id: string): Promise<Product | undefined> {
  return Product.query(knex).findById(id).whereNull('deleted_at').execute()
}

/** Fields that a list of products may be sorted by. */
export const PRODUCT_SORTS = ['name', 'price', 'created_at'] as const

export interface ProductPage {
  page: number
  pageSize: number
  sort: (typeof PRODUCT_SORTS)[number]
  direction: 'asc' | 'desc'
  /** Part of the name or of the SKU, in any case. */
  search?: string | undefined
  currency?: string | undefined
  minPrice?: number | undefined
  maxPrice?: number | undefined
}

/** One page of the products that are not deleted. */
export async function listProducts(
  knex: Knex,
  { page, pageSize, sort, direction, search, currency, minPrice, maxPrice }: ProductPage,
): Promise<{ items: Product[]; total: number }> {
  const query = Product.query(knex)
    .whereNull('deleted_at')
    .orderBy([{ column: sort, order: direction }, { column: 'id' }])
    .page(page - 1, pageSize)
  if (search !== undefined) {
    const pattern = `%${escapeLike(search)}%`
    void query.where((either) => void either.whereILike('name', pattern).orWhereILike('sku', pattern))
  }
  if (currency !== undefined) void query.where('currency', currency)
  if (minPrice !== undefined) void query.where('price', '>=', minPrice)
  if (maxPrice !== undefined) void query.where('price', '<=', maxPrice)
  const { results, total } = await query
  return { items: results, total }
}

/** A text as part of a LIKE pattern that matches just this text. */
function escapeLike(text: string): string {
  return text.replaceAll(/[\\%_]/g, '\\$&')
}

export type ProductData = ReturnType<typeof presentProduct>

/** What the API tells of a product. */
export function presentProduct(product: Product) {
  const { id, sku, name, description, price, currency, version } = product
  const times = { created_at: product.created_at.toISOString(), updated_at: product.updated_at.toISOString() }
  return { id, sku, name, description, price, currency, version, ...times }
}
