import type { Knex } from 'knex'
import { listProducts, presentProduct } from '../../products/model.ts'
import { page } from '../contract/fields.ts'
import type { productRoutes } from '../contract/products.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

export function productHandlers(deps: { knex: Knex }): HandlersOf<typeof productRoutes> {
  const { knex } = deps
  return {
    listProducts: async ({ query }) => {
      const [sort, direction] = query.sort
      const { items, total } = await listProducts(knex, {
        page: query.page,
        pageSize: query.page_size,
        sort,
        direction,
      })
      return { status: 200, data: page(query, { items: items.map(presentProduct), total }) }
    },
    readProduct: async () => refuse('NOT_READY'),
    createProduct: async () => refuse('NOT_READY'),
    patchProduct: async () => refuse('NOT_READY'),
    deleteProduct: async () => refuse('NOT_READY'),
    readInventory: async () => refuse('NOT_READY'),
    adjustInventory: async () => refuse('NOT_READY'),
    listInventoryMovements: async () => refuse('NOT_READY'),
  }
}
