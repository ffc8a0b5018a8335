/** The whole contract: every route of the API by its name, which is its `operationId` and the name of its handler. */
import { accountRoutes } from './accounts.ts'
import { figureRoutes } from './figures.ts'
import { orderRoutes, paymentRoutes } from './orders.ts'
import { productRoutes } from './products.ts'
import { purchaseRoutes } from './purchases.ts'
import { serviceRoutes } from './service.ts'
import { spikeEventRoutes } from './spike-events.ts'

export const CONTRACT = {
  ...accountRoutes,
  ...productRoutes,
  ...spikeEventRoutes,
  ...figureRoutes,
  ...purchaseRoutes,
  ...orderRoutes,
  ...paymentRoutes,
  ...serviceRoutes,
} as const

export type Contract = typeof CONTRACT
export type RouteName = keyof Contract
