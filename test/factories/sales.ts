import { v7 as uuidv7 } from 'uuid'
import { publishSale } from '../../src/sale.ts'
import { SYSTEM } from '../../src/audit/audit.ts'
import { createEvent, type NewEvent } from '../../src/spike-events/transitions.ts'
import type { World } from '../support/world.ts'

const HOUR_MS = 3_600_000

/** A product with inventory. @param stock units in the inventory */
export async function createProduct(world: World, stock = 1_000): Promise<string> {
  const id = uuidv7()
  await world.knex('products').insert({ id, sku: `SKU-${id}`, name: 'Test product', price: 1_000 })
  await world.knex('inventory').insert({ id: uuidv7(), product_id: id, stock })
  await world
    .knex('inventory_movements')
    .insert({ id: uuidv7(), product_id: id, delta: stock, reason: 'test' })
  return id
}

/** A draft through the real use case. */
export async function createDraft(world: World, input: Partial<NewEvent> = {}): Promise<string> {
  const result = await createEvent(
    world.knex,
    {
      productId: input.productId ?? (await createProduct(world)),
      startAt: new Date(Date.now() - HOUR_MS),
      endAt: new Date(Date.now() + HOUR_MS),
      spikePrice: 500,
      stock: 10,
      paymentWindowS: 300,
      perUserLimit: 1,
      lapseLimit: 1,
      ...input,
    },
    SYSTEM,
  )
  if (result.kind !== 'done') throw new Error(`draft not made: ${result.kind}`)
  return result.event.id
}

/** A sale that can be bought from now, published through the real use case. @returns the event's id */
export async function createSale(world: World, input: Partial<NewEvent> = {}): Promise<string> {
  const id = await createDraft(world, input)
  const result = await publishSale(world, id, SYSTEM)
  if (result.kind !== 'done') throw new Error(`sale not published: ${result.kind}`)
  return id
}
