import { z } from 'zod'
import { id, money } from '../../contracts/values.ts'
import { MAX_STOCK } from '../../products/inventory.ts'
import { PRODUCT_SORTS } from '../../products/model.ts'
import { currency, idParams, listQuery, pageOf, reason, sortBy, text, timestamp, units } from './fields.ts'
import { defineRoute } from './route.ts'

export const productData = z
  .object({
    id,
    sku: z.string(),
    name: z.string(),
    description: z.string(),
    price: money.describe('Minor units of the currency.'),
    currency: z.string(),
    version: z.int(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: 'Product' })

export const inventoryData = z
  .object({ product_id: id, stock: units, version: z.int(), updated_at: timestamp })
  .meta({ id: 'Inventory', description: 'Units that are free to sell or to grant to a spike event.' })

export const movementData = z
  .object({
    id,
    product_id: id,
    delta: units,
    reason: z.string(),
    reference: z.string().nullable(),
    actor_id: id.nullable(),
    created_at: timestamp,
  })
  .meta({
    id: 'InventoryMovement',
    description: "Row of a product's ledger; the deltas add up to its stock.",
  })

const productFields = {
  sku: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'is 1 to 64 letters, digits, ".", "_" or "-"'),
  name: text(1, 200),
  description: text(0, 5_000),
  price: money,
}
const ETAG = { ETag: 'The version; send it back as If-Match or If-None-Match.' }
/** An amount of money in a query, where everything is text. */
const amount = z
  .string()
  .regex(/^\d{1,13}$/, 'is a whole number of minor units')
  .transform(Number)
  .pipe(money)
  .meta({ type: 'integer', minimum: 0, maximum: 1_000_000_000_000 })

export const productRoutes = {
  listProducts: defineRoute({
    method: 'get',
    path: '/products',
    tag: 'products',
    summary: 'List products',
    access: 'anyone',
    limit: 'read',
    query: listQuery({
      q: text(1, 100).optional().describe('Part of the name or the SKU, in any case.'),
      currency: currency.optional(),
      min_price: amount.optional(),
      max_price: amount.optional(),
      sort: sortBy(PRODUCT_SORTS, 'created_at,asc'),
    }),
    replies: { 200: { description: 'One page of products.', data: pageOf(productData) } },
    errors: [],
  }),
  readProduct: defineRoute({
    method: 'get',
    path: '/products/:id',
    tag: 'products',
    summary: 'Read a product',
    access: 'anyone',
    limit: 'read',
    params: idParams,
    replies: {
      200: { description: 'The product.', data: productData, headers: ETAG },
      304: { description: 'The version of If-None-Match is the present one.', headers: ETAG },
    },
    errors: ['NOT_FOUND'],
  }),
  createProduct: defineRoute({
    method: 'post',
    path: '/products',
    tag: 'products',
    summary: 'Make a product',
    access: 'admin',
    limit: 'write',
    idempotency: 'optional',
    body: z.strictObject({
      ...productFields,
      description: productFields.description.default(''),
      currency: currency.default('CNY'),
      stock: z.int().min(0).max(MAX_STOCK).default(0).describe('Units in the inventory to begin with.'),
    }),
    replies: {
      201: {
        description: 'The product.',
        data: productData,
        headers: { ...ETAG, Location: 'Path of the product.' },
      },
    },
    errors: ['SKU_TAKEN'],
  }),
  patchProduct: defineRoute({
    method: 'patch',
    path: '/products/:id',
    tag: 'products',
    summary: 'Change a product',
    access: 'admin',
    limit: 'write',
    ifMatch: 'required',
    params: idParams,
    body: z
      .strictObject(productFields)
      .partial()
      .refine((body) => Object.keys(body).length > 0, 'names nothing to change'),
    replies: { 200: { description: 'The product.', data: productData, headers: ETAG } },
    errors: ['NOT_FOUND', 'SKU_TAKEN'],
  }),
  deleteProduct: defineRoute({
    method: 'delete',
    path: '/products/:id',
    tag: 'products',
    summary: 'Take a product out of the shop',
    description: 'Orders keep it. Refused while a spike event of it is a draft, published or paused.',
    access: 'admin',
    limit: 'write',
    ifMatch: 'required',
    params: idParams,
    replies: { 204: { description: 'The product is gone from lists and can not be bought any more.' } },
    errors: ['NOT_FOUND', 'WRONG_STATE'],
  }),
  readInventory: defineRoute({
    method: 'get',
    path: '/products/:id/inventory',
    tag: 'products',
    summary: "Read a product's inventory",
    access: 'anyone',
    limit: 'read',
    params: idParams,
    replies: { 200: { description: 'The inventory.', data: inventoryData } },
    errors: ['NOT_FOUND'],
  }),
  adjustInventory: defineRoute({
    method: 'post',
    path: '/products/:id/inventory/adjustments',
    tag: 'products',
    summary: 'Add units to the inventory or take some out',
    access: 'admin',
    limit: 'write',
    idempotency: 'optional',
    params: idParams,
    body: z.strictObject({
      delta: z
        .int()
        .min(-MAX_STOCK)
        .max(MAX_STOCK)
        .refine((delta) => delta !== 0, 'must not be 0'),
      reason,
    }),
    replies: { 201: { description: 'The inventory after it.', data: inventoryData } },
    errors: ['NOT_FOUND', 'INSUFFICIENT_STOCK', 'STOCK_LIMIT'],
  }),
  listInventoryMovements: defineRoute({
    method: 'get',
    path: '/products/:id/inventory/adjustments',
    tag: 'products',
    summary: "List a product's ledger, the newest first",
    access: 'viewer',
    limit: 'read',
    params: idParams,
    query: listQuery({}),
    replies: { 200: { description: 'One page of the ledger.', data: pageOf(movementData) } },
    errors: ['NOT_FOUND'],
  }),
}
