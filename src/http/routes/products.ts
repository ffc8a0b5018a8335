import type { Knex } from 'knex'
import type { ProductCache } from '../../products/cache.ts'
import { createProduct, deleteProduct, patchProduct } from '../../products/changes.ts'
import {
  adjustInventory,
  listMovements,
  presentInventory,
  presentMovement,
  readInventory,
} from '../../products/inventory.ts'
import { listProducts, presentProduct, type Product, type ProductData } from '../../products/model.ts'
import { page } from '../contract/fields.ts'
import type { productRoutes } from '../contract/products.ts'
import { refuse } from '../errors.ts'
import { isUnchanged } from '../etag.ts'
import type { HandlersOf } from '../handler.ts'
import { API_PREFIX } from '../mount.ts'

type Handlers = HandlersOf<typeof productRoutes>
type InventoryRoutes = 'readInventory' | 'adjustInventory' | 'listInventoryMovements'

export function productHandlers(deps: { knex: Knex; productCache: ProductCache }): Handlers {
  const { knex, productCache } = deps

  /** What was committed, also to readers of the cache. */
  async function committed(product: Product): Promise<ProductData> {
    const data = presentProduct(product)
    await productCache.put(product.id, data)
    return data
  }

  return {
    ...inventoryHandlers(knex),

    listProducts: async ({ query }) => {
      const [sort, direction] = query.sort
      const { items, total } = await listProducts(knex, {
        page: query.page,
        pageSize: query.page_size,
        sort,
        direction,
        search: query.q,
        currency: query.currency,
        minPrice: query.min_price,
        maxPrice: query.max_price,
      })
      return { status: 200, data: page(query, { items: items.map(presentProduct), total }) }
    },

    readProduct: async ({ ctx, params }) => {
      const data = await productCache.read(params.id)
      if (data === undefined) return refuse('NOT_FOUND')
      const headers = { ETag: etagOf(data) }
      return isUnchanged(ctx, headers.ETag) ? { status: 304, headers } : { status: 200, data, headers }
    },

    createProduct: async ({ body, claims, requestId }) => {
      const result = await createProduct(knex, body, { userId: claims.sub, requestId })
      if (result.kind === 'sku_taken') return refuse('SKU_TAKEN')
      const data = await committed(result.product)
      const headers = { ETag: etagOf(data), Location: `${API_PREFIX}/products/${data.id}` }
      return { status: 201, data, headers }
    },

    patchProduct: async ({ params, expectedVersion, body, claims, requestId }) => {
      const actor = { userId: claims.sub, requestId }
      const result = await patchProduct(knex, params.id, expectedVersion, body, actor)
      switch (result.kind) {
        case 'not_found':
          return refuse('NOT_FOUND')
        case 'other_version':
          return refuse('PRECONDITION_FAILED')
        case 'sku_taken':
          return refuse('SKU_TAKEN')
        case 'patched': {
          const data = await committed(result.product)
          return { status: 200, data, headers: { ETag: etagOf(data) } }
        }
      }
    },

    deleteProduct: async ({ params, expectedVersion, claims, requestId }) => {
      const actor = { userId: claims.sub, requestId }
      const result = await deleteProduct(knex, params.id, expectedVersion, actor)
      switch (result.kind) {
        case 'not_found':
          return refuse('NOT_FOUND')
        case 'other_version':
          return refuse('PRECONDITION_FAILED')
        case 'on_sale':
          return refuse('WRONG_STATE', { data: { spike_event_id: result.eventId } })
        case 'deleted':
          await productCache.remove(params.id, result.version)
          return { status: 204 }
      }
    },
  }
}

function inventoryHandlers(knex: Knex): Pick<Handlers, InventoryRoutes> {
  return {
    readInventory: async ({ params }) => {
      const inventory = await readInventory(knex, params.id)
      return inventory === undefined
        ? refuse('NOT_FOUND')
        : { status: 200, data: presentInventory(inventory) }
    },

    adjustInventory: async ({ params, body, claims, requestId, idempotencyKey }) => {
      const change = { productId: params.id, ...body }
      const result = await adjustInventory(knex, change, { userId: claims.sub, requestId, idempotencyKey })
      switch (result.kind) {
        case 'not_found':
          return refuse('NOT_FOUND')
        case 'insufficient_stock':
          return refuse('INSUFFICIENT_STOCK')
        case 'stock_limit':
          return refuse('STOCK_LIMIT')
        case 'adjusted':
          return { status: 201, data: presentInventory(result.inventory) }
      }
    },

    listInventoryMovements: async ({ params, query }) => {
      const found = await listMovements(knex, params.id, { page: query.page, pageSize: query.page_size })
      if (found === undefined) return refuse('NOT_FOUND')
      return { status: 200, data: page(query, { ...found, items: found.items.map(presentMovement) }) }
    },
  }
}

function etagOf(product: ProductData): string {
  return `"${product.version}"`
}
