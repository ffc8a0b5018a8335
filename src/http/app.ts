import type { KeyObject } from 'node:crypto'
import cors from '@koa/cors'
import type { Knex } from 'knex'
import Koa from 'koa'
import type { Actor } from '../audit/audit.ts'
import type { BuyInput, Purchase } from '../buy.ts'
import type { Settlement } from '../pay.ts'
import type { Callback } from '../payments/callback.ts'
import type { PaymentProvider } from '../payments/provider.ts'
import type { Config } from '../platform/config.ts'
import { IdempotencyStore } from '../platform/idempotency/store.ts'
import type { InFlight } from '../platform/in-flight.ts'
import type { Logger } from '../platform/logger.ts'
import { internalTest } from '../platform/networks.ts'
import type { Readiness } from '../platform/readiness.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import type { ProductCache } from '../products/cache.ts'
import type { Rebuilt } from '../rebuild.ts'
import type { RepairResult } from '../repair.ts'
import type { SaleDependencies } from '../sale.ts'
import type { Tracker } from '../track.ts'
import type { Watcher } from '../watch.ts'
import { createLoginLimit } from '../users/login-limit.ts'
import type { Revocations } from '../users/revocations.ts'
import type { Middleware, State } from './context.ts'
import { purchaseRoutes } from './contract/purchases.ts'
import { EXPOSED_HEADERS } from './cross-origin.ts'
import { accessGuard, buyerReader, type TokenDependencies } from './middleware/authenticate.ts'
import { jsonBody } from './middleware/body.ts'
import { errors } from './middleware/errors.ts'
import { idempotencyGuard } from './middleware/idempotent.ts'
import { internalGuard } from './middleware/internal.ts'
import { limitGuards } from './middleware/limits.ts'
import { countRequests } from './middleware/metrics.ts'
import { refuseExcess } from './middleware/overload.ts'
import { requestId } from './middleware/request-id.ts'
import { safeHeaders } from './middleware/safe-headers.ts'
import { readableTarget } from './middleware/target.ts'
import { traceRequests } from './middleware/trace.ts'
import type { ApiMetrics } from './metrics.ts'
import { mountContract } from './mount.ts'
import { purchaseLane } from './purchase-lane.ts'
import { accountHandlers } from './routes/accounts.ts'
import { figureHandlers } from './routes/figures.ts'
import { orderHandlers } from './routes/orders.ts'
import { paymentHandlers } from './routes/payments.ts'
import { productHandlers } from './routes/products.ts'
import { purchaseHandlers } from './routes/purchases.ts'
import { serviceHandlers } from './routes/service.ts'
import { spikeEventHandlers } from './routes/spike-events.ts'

export interface AppDependencies {
  config: Config
  log: Logger
  key: KeyObject
  knex: Knex
  redis: RedisClient
  sale: SaleDependencies
  rebuild: (eventId: string, actor: Actor) => Promise<Rebuilt>
  repair: (eventId: string, options: { dryRun: boolean }, actor: Actor) => Promise<RepairResult>
  productCache: ProductCache
  tracker: Tracker
  watcher: Watcher
  provider: PaymentProvider
  revocations: Revocations
  buy: (input: BuyInput) => Promise<Purchase>
  settlePayment: (provider: string, callback: Callback) => Promise<Settlement>
  readiness: Readiness
  metrics: ApiMetrics
  /** The requests in hand, which the server counts. */
  inFlight: InFlight
  /** Tokens of buyers that were checked before. */
  tokens: TokenDependencies
}

/** How long browsers need not ask again whether they may ask. */
const PREFLIGHT_KEPT_S = 600

/** The HTTP side of the API: every middleware in the order in which it runs, then the contract's routes. */
export function createApp(deps: AppDependencies): Koa {
  const { config, knex, redis } = deps
  const app = new Koa<State>({
    proxy: config.trustProxy,
    maxIpsCount: 1, // the address that our own proxy has appended, not what the client wrote before it
  })
  const isInternal = internalTest(config)
  const overload = refuseExcess(deps.inFlight, deps.metrics)
  const body = jsonBody(deps.inFlight)
  const crossOrigin = cors({
    origin: allowOrigin(config.corsOrigins),
    exposeHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_KEPT_S,
  })
  const limits = { enabled: config.rateLimit, redis, namespace: config.namespace }
  const { tokens } = deps
  const guards = {
    internal: internalGuard(isInternal),
    access: accessGuard({ ...deps, ...tokens, paymentSecret: config.paymentSecret }),
    ...limitGuards(limits),
    idempotent: idempotencyGuard({ store: new IdempotencyStore(redis, config.namespace), log: deps.log }),
  }
  const purchases = purchaseHandlers(deps)
  const { limit } = purchaseRoutes.buy
  const lane = purchaseLane({
    ...deps,
    crossOrigin: crossOrigin as Middleware,
    overload,
    body,
    limitAddress: guards.limitAddress(limit),
    readBuyer: buyerReader(tokens).read,
    limitUser: guards.limitUser(limit),
    buy: purchases.buy,
  })
  app.use(lane as Koa.Middleware)

  app.use(requestId() as Koa.Middleware)
  app.use(traceRequests(isInternal) as Koa.Middleware)
  app.use(countRequests(deps.metrics) as Koa.Middleware)
  app.use(errors(deps.log) as Koa.Middleware)
  app.use(safeHeaders() as Koa.Middleware)
  app.use(crossOrigin)
  app.use(readableTarget as Koa.Middleware)
  app.use(overload as Koa.Middleware)
  app.use(body as Koa.Middleware)
  app.use(overload as Koa.Middleware) // others may have come while the body was waited for

  const handlers = {
    ...accountHandlers({ ...deps, loginLimit: createLoginLimit({ ...limits, log: deps.log }) }),
    ...productHandlers(deps),
    ...spikeEventHandlers(deps),
    ...figureHandlers(deps.sale),
    ...purchases,
    ...orderHandlers({ knex }),
    ...paymentHandlers({ ...deps, outcomeByRequest: config.env !== 'prod' }),
    ...serviceHandlers({ ...deps, isInternal }),
  }
  const routers = mountContract(handlers, guards)
  for (const router of routers) app.use(router.routes()).use(router.allowedMethods())

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
