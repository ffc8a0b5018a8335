import type { Knex } from 'knex'
import { cancelOrder } from '../../orders/close.ts'
import { placeOrder, type Placement } from '../../orders/place.ts'
import { findOrder, listOrders, presentOrder, presentOrderDetail } from '../../orders/read.ts'
import { orderTimeline } from '../../orders/timeline.ts'
import { page } from '../contract/fields.ts'
import type { orderRoutes } from '../contract/orders.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

export function orderHandlers(deps: { knex: Knex }): HandlersOf<typeof orderRoutes> {
  const { knex } = deps

  async function detail(orderId: string, userId: string) {
    const order = await findOrder(knex, orderId, userId)
    return order === undefined ? undefined : presentOrderDetail(order)
  }

  return {
    createOrder: async ({ body, claims, idempotencyKey }) => {
      if (idempotencyKey === undefined) return refuse('IDEMPOTENCY_KEY_REQUIRED')
      const placement = await placeOrder(knex, {
        userId: claims.sub,
        items: body.items.map((item) => ({ productId: item.product_id, quantity: item.quantity })),
        idempotencyKey,
      })
      if (placement.kind !== 'placed') return refusalOf(placement)
      const data = await detail(placement.orderId, claims.sub)
      if (data === undefined) throw new Error(`order ${placement.orderId} is gone`)
      return { status: 201, data, headers: { Location: `/api/v1/orders/${data.id}` } }
    },
    listOrders: async ({ query, claims }) => {
      const [sort, direction] = query.sort
      const found = await listOrders(knex, {
        userId: claims.sub,
        status: query.status,
        eventId: query.event_id,
        page: query.page,
        pageSize: query.page_size,
        sort,
        direction,
      })
      return { status: 200, data: page(query, { ...found, items: found.items.map(presentOrder) }) }
    },
    readOrder: async ({ params, claims }) => {
      const data = await detail(params.id, claims.sub)
      return data === undefined ? refuse('NOT_FOUND') : { status: 200, data }
    },
    readTimeline: async ({ params, claims }) => {
      const entries = await orderTimeline(knex, params.id, claims.sub)
      if (entries === undefined) return refuse('NOT_FOUND')
      return {
        status: 200,
        data: {
          order_id: params.id,
          entries: entries.map(({ at, what, detail }) => ({ at: at.toISOString(), what, detail })),
        },
      }
    },
    cancelOrder: async ({ params, claims }) => {
      const result = await cancelOrder(knex, params.id, claims.sub)
      if (result.kind === 'not_found') return refuse('NOT_FOUND')
      if (result.kind === 'not_pending')
        return refuse('ORDER_NOT_PENDING', { data: { status: result.status } })
      const data = await detail(params.id, claims.sub)
      return data === undefined ? refuse('NOT_FOUND') : { status: 200, data }
    },
  }
}

function refusalOf(placement: Exclude<Placement, { kind: 'placed' }>) {
  switch (placement.kind) {
    case 'unknown_product':
      return refuse('NOT_FOUND', { data: { product_id: placement.productId } })
    case 'insufficient_stock':
      return refuse('INSUFFICIENT_STOCK', { data: { product_id: placement.productId } })
    case 'mixed_currencies':
      return refuse('MIXED_CURRENCIES')
    case 'unknown_buyer':
      return refuse('UNAUTHENTICATED')
  }
}
