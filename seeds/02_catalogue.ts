import type { Knex } from 'knex'
import { SYSTEM } from '../src/audit/audit.ts'
import { loadSeedSettings } from '../src/platform/config.ts'
import { createProduct } from '../src/products/changes.ts'

const PRODUCTS = [
  { sku: 'PHONE-X', name: 'Phone X', description: '6.1 inch, 256 GB', price: 499_900, stock: 2_000 },
  { sku: 'BUDS-2', name: 'Buds 2', description: 'Wireless earphones', price: 79_900, stock: 5_000 },
  { sku: 'KETTLE-1', name: 'Kettle', description: '1.7 l, 2200 W', price: 19_900, stock: 1_000 },
] as const

/** Outside prod, a few products with inventory; products that exist stay as they are. */
export async function seed(knex: Knex): Promise<void> {
  if (!loadSeedSettings(process.env).withTestData) return
  for (const product of PRODUCTS) await createProduct(knex, { ...product, currency: 'CNY' }, SYSTEM)
}
