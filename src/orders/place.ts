/** Ordinary orders: bought outside a sale, straight from the inventory. */
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { noteMade } from '../platform/postgres/once.ts'
import { retryingTransaction } from '../platform/postgres/transaction.ts'
import { moveInventory } from '../products/inventory.ts'

export type Placement =
  | { kind: 'placed'; orderId: string }
  | { kind: 'unknown_product'; productId: string }
  | { kind: 'insufficient_stock'; productId: string }
  | { kind: 'mixed_currencies' }
  | { kind: 'unknown_buyer' }

export interface NewOrder {
  userId: string
  items: readonly { productId: string; quantity: number }[]
  idempotencyKey: string
}

const PAYMENT_WINDOW_S = 15 * 60

/** Thrown inside the transaction, to roll it back. */
class Refused extends Error {
  readonly placement: Placement
  constructor(placement: Placement) {
    super(placement.kind)
    this.placement = placement
  }
}

/**
 * Writes an order and takes its units out of the inventory, in one transaction; a key that the buyer has used in the
 * last 24 hours finds the order that it made.
 *
 * Lock order: buyer (key share), the key, products (key share, so that changes of a product need not wait), the
 * order, inventory rows by product id, last, because other orders of the same products wait for them.
 */
export async function placeOrder(knex: Knex, input: NewOrder): Promise<Placement> {
  try {
    return await retryingTransaction(knex, (trx) => place(trx, input))
  } catch (error) {
    if (error instanceof Refused) return error.placement
    throw error
  }
}

async function place(trx: Knex.Transaction, { userId, items, idempotencyKey }: NewOrder): Promise<Placement> {
  const buyer = await trx('users').where({ id: userId, disabled: false }).forKeyShare().first('id')
  if (buyer === undefined) return { kind: 'unknown_buyer' }
  const orderId = uuidv7()
  const request = { userId, operation: 'order', key: idempotencyKey }
  const earlier = await noteMade(trx, request, orderId)
  if (earlier !== undefined) return { kind: 'placed', orderId: earlier }
  const { lines, amount, currency } = await priceItems(trx, items)
  const [order]: { expires_at_ms: number }[] = await trx('orders')
    .insert({
      id: orderId,
      user_id: userId,
      amount,
      currency,
      expires_at: trx.raw(`now() + ? * interval '1 second'`, [PAYMENT_WINDOW_S]),
    })
    .returning(trx.raw('floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_at_ms') as never)
  await trx('order_items').insert(lines.map((line) => ({ id: uuidv7(), order_id: orderId, ...line })))
  await trx('outbox').insert({
    topic: 'order.created',
    key: orderId,
    payload: JSON.stringify({ order_id: orderId, expires_at_ms: order?.expires_at_ms }),
  })
  for (const { product_id: productId, quantity } of lines) {
    const move = { productId, delta: -quantity, reason: 'ordered', reference: orderId, actorId: userId }
    if (!(await moveInventory(trx, move))) throw new Refused({ kind: 'insufficient_stock', productId })
  }
  return { kind: 'placed', orderId }
}

interface Line {
  product_id: string
  quantity: number
  unit_price: number
}

/** Today's prices of the items, in the order of their product ids. */
async function priceItems(
  trx: Knex.Transaction,
  items: NewOrder['items'],
): Promise<{ lines: Line[]; amount: number; currency: string }> {
  const products: { id: string; price: number; currency: string }[] = await trx('products')
    .whereIn(
      'id',
      items.map((item) => item.productId),
    )
    .whereNull('deleted_at')
    .orderBy('id')
    .forKeyShare()
    .select('id', 'price', 'currency')
  const known = new Map(products.map((product) => [product.id, product]))
  const lines = items
    .map(({ productId, quantity }) => {
      const product = known.get(productId)
      if (product === undefined) throw new Refused({ kind: 'unknown_product', productId })
      return { product_id: productId, quantity, unit_price: product.price }
    })
    .toSorted((a, b) => (a.product_id < b.product_id ? -1 : 1))
  const [currency, ...others] = new Set(products.map((product) => product.currency))
  if (currency === undefined || others.length > 0) throw new Refused({ kind: 'mixed_currencies' })
  return { lines, currency, amount: lines.reduce((sum, line) => sum + line.quantity * line.unit_price, 0) }
}
