import type { KeyObject } from 'node:crypto'
import cors from '@koa/cors'
import { Router } from '@koa/router'
import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import Koa from 'koa'
import helmet from 'koa-helmet'
import type { BuyInput, Purchase } from '../buy.ts'
import type { Callback, CallbackResult } from '../payments/callback.ts'
import type { PaymentProvider } from '../payments/provider.ts'
import type { Config } from '../platform/config.ts'
import type { Logger } from '../platform/logger.ts'
import type { SaleDependencies } from '../sale.ts'
import type { Tracker } from '../track.ts'
import { createLoginLimit } from '../users/login-limit.ts'
import type { State } from './context.ts'
import { authenticate, requireRole } from './middleware/authenticate.ts'
import { jsonBody } from './middleware/body.ts'
import { errors } from './middleware/errors.ts'
import { limitLogins, limitPurchases } from './middleware/limits.ts'
import { requestId } from './middleware/request-id.ts'
import { accountRoutes } from './routes/accounts.ts'
import { healthRoutes, type Readiness } from './routes/health.ts'
import { orderRoutes } from './routes/orders.ts'
import { productRoutes } from './routes/products.ts'
import { purchaseRoutes } from './routes/purchases.ts'
import { spikeEventRoutes } from './routes/spike-events.ts'

export const API_PREFIX = '/api/v1'

export interface AppDependencies {
  config: Config
  log: Logger
  key: KeyObject
  knex: Knex
  redis: Redis
  sale: SaleDependencies
  tracker: Tracker
  provider: PaymentProvider
  buy: (input: BuyInput) => Promise<Purchase>
  settlePayment: (provider: string, callback: Callback) => Promise<CallbackResult>
  readiness: Readiness
}

/** The HTTP side of the API: every middleware and every group of routes, in the order in which they run. */
export function createApp(deps: AppDependencies): Koa {
  const { config, knex, redis } = deps
  const app = new Koa<State>({
    proxy: config.trustProxy,
    maxIpsCount: 1, // the address that our own proxy has appended, not what the client wrote before it
  })
  const loginLimit = createLoginLimit({ enabled: config.rateLimit, redis, namespace: config.namespace })
  const user = authenticate(deps.key, 'api')
  const admin = requireRole(knex, 'admin')

  app.use(requestId() as Koa.Middleware)
  app.use(errors(deps.log) as Koa.Middleware)
  app.use(helmet())
  app.use(
    cors({
      origin: allowOrigin(config.corsOrigins),
      exposeHeaders: ['Location', 'Retry-After', 'X-Request-Id'],
    }),
  )
  app.use(jsonBody() as Koa.Middleware)

  const health = new Router()
  healthRoutes(health, deps.readiness)
  const api = new Router({ prefix: API_PREFIX })
  accountRoutes(api, { knex, key: deps.key, limitLogins: limitLogins(loginLimit), user })
  productRoutes(api, { knex })
  spikeEventRoutes(api, { sale: deps.sale, redis, user, admin })
  purchaseRoutes(api, {
    buy: deps.buy,
    tracker: deps.tracker,
    knex,
    user,
    limitPurchases: limitPurchases(config.rateLimit),
  })
  orderRoutes(api, {
    knex,
    provider: deps.provider,
    paymentSecret: config.paymentSecret,
    outcomeByRequest: config.env !== 'prod',
    settlePayment: deps.settlePayment,
    user,
  })
  for (const router of [health, api]) app.use(router.routes()).use(router.allowedMethods())

  // The error middleware answers everything; what reaches this is a socket that broke while it was written to.
  app.on('error', (error: Error) => deps.log.debug({ err: error }, 'connection broke'))
  return app
}

/** Echoes an origin that is on the list; no list, no cross-origin reading. */
function allowOrigin(origins: readonly string[]) {
  return (ctx: Koa.Context): string => {
    const origin = ctx.get('Origin')
    return origins.includes(origin) ? origin : ''
  }
}
