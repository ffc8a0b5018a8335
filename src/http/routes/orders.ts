import type { Knex } from 'knex'
import { findOrder } from '../../orders/read.ts'
import type { orderRoutes } from '../contract/orders.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

export function orderHandlers(deps: { knex: Knex }): HandlersOf<typeof orderRoutes> {
  return {
    createOrder: async () => refuse('NOT_READY'),
    listOrders: async () => refuse('NOT_READY'),
    readOrder: async ({ params, claims }) => {
      const order = await findOrder(deps.knex, params.id, claims.sub)
      return order === undefined ? refuse('NOT_FOUND') : { status: 200, data: order as never }
    },
    readTimeline: async () => refuse('NOT_READY'),
    cancelOrder: async () => refuse('NOT_READY'),
  }
}
