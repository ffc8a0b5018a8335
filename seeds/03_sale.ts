import type { Knex } from 'knex'
import { loadSeedSettings } from '../src/platform/config.ts'
import { SYSTEM } from '../src/audit/audit.ts'
import { createEvent, publishEvent } from '../src/spike-events/transitions.ts'

const DAY_MS = 86_400_000
const UNITS = 100

/**
 * Outside prod, one sale that can be bought from now, unless one is running, or its product was deleted or has too
 * few units left. The workers open its gate in Redis.
 */
export async function seed(knex: Knex): Promise<void> {
  if (!loadSeedSettings(process.env).withTestData) return
  const product = await knex('products')
    .join('inventory', 'inventory.product_id', 'products.id')
    .where({ sku: 'PHONE-X', deleted_at: null })
    .andWhere('inventory.stock', '>=', UNITS)
    .first('products.id')
  if (product === undefined) return
  const running = await knex('spike_events')
    .where({ product_id: product.id, status: 'published' })
    .andWhere('end_at', '>', knex.fn.now())
    .first('id')
  if (running !== undefined) return
  const created = await createEvent(
    knex,
    {
      productId: product.id,
      startAt: new Date(),
      endAt: new Date(Date.now() + 30 * DAY_MS),
      spikePrice: 99_900,
      stock: UNITS,
      paymentWindowS: 300,
      perUserLimit: 1,
      lapseLimit: 1,
    },
    SYSTEM,
  )
  if (created.kind !== 'done') throw new Error(`sale not created: ${created.kind}`)
  const published = await publishEvent(knex, created.event.id, SYSTEM)
  if (published.kind !== 'done') throw new Error(`sale not published: ${published.kind}`)
}
