/** Composition root of the API process: the only file of it that makes clients. */
import type { Server } from 'node:http'
import type { Knex } from 'knex'
import { reservationAccepted } from './contracts/messages/reservation-accepted.ts'
import { MessageSigner } from './contracts/messages/signature.ts'
import { declareTopology, topologyOf } from './contracts/messages/topology.ts'
import { POOL_MAX } from './contracts/pools.ts'
import { buy } from './buy.ts'
import { createApp } from './http/app.ts'
import { answerBroken } from './http/broken-request.ts'
import { createApiMetrics } from './http/metrics.ts'
import { crossOriginHeaders } from './http/cross-origin.ts'
import { knownRefusalDoor } from './http/known-refusal-door.ts'
import { buyerReader } from './http/middleware/authenticate.ts'
import { CheckedTokens } from './http/middleware/checked-tokens.ts'
import { overloadDoor } from './http/overload-door.ts'
import { settlePayment } from './pay.ts'
import { SimulatedProvider } from './payments/simulated-provider.ts'
import type { Config } from './platform/config.ts'
import { freshFor } from './platform/fresh.ts'
import { closeServer, listen } from './platform/http-server.ts'
import { InFlight } from './platform/in-flight.ts'
import { StopList, type Running } from './platform/lifecycle.ts'
import type { Logger } from './platform/logger.ts'
import { countPublishes, createRegistry } from './platform/metrics.ts'
import { contactPostgres, createPostgres } from './platform/postgres/client.ts'
import { closeRabbit, connectRabbit } from './platform/rabbitmq/connection.ts'
import { queueDepth } from './platform/rabbitmq/queue-depth.ts'
import { ConfirmPublisher } from './platform/rabbitmq/publisher.ts'
import { contactDurableRedis, createRedis, createSubscriberRedis } from './platform/redis/client.ts'
import { loadScripts } from './platform/redis/define-script.ts'
import { pingRedis, type RedisClient } from './platform/redis/nodes.ts'
import { Subscriber } from './platform/redis/subscriber.ts'
import { startTracing } from './platform/telemetry/tracing.ts'
import { createProductCache } from './products/cache.ts'
import { OutcomeCounts } from './reserve/outcome-counts.ts'
import { rebuildSale } from './rebuild.ts'
import { repairSale } from './repair.ts'
import { QueuedMarks } from './reserve/queued-marks.ts'
import { Refusals } from './reserve/refusals.ts'
import { ridKey } from './reserve/rid.ts'
import { spikeScripts } from './reserve/scripts.ts'
import { Tracker } from './track.ts'
import { Revocations } from './users/revocations.ts'
import { tokenKey } from './users/tokens.ts'
import { Watcher } from './watch.ts'

/** Publishes that may wait for their confirm before purchases are refused with OVERLOADED. */
const MAX_UNCONFIRMED = 2_000
const PAYMENT_DELAY_MS = 50
/** Thousands may poll for reservations that Redis has lost; the broker is asked once for all of them. */
const DEPTH_FRESH_MS = 1_000

/**
 * Builds the API. Stop order: not ready, streams, the provider's callbacks, HTTP, publishes, stores.
 * @throws ServiceError when a store or the broker can't be used
 */
export async function compose(config: Config, log: Logger): Promise<Running> {
  const parts = new StopList(log)
  try {
    return await assemble(config, log, parts)
  } catch (error) {
    await parts.stop()
    throw error
  }
}

async function assemble(config: Config, log: Logger, parts: StopList): Promise<Running> {
  const tracing = await startTracing(config, 'api', log)
  parts.add('tracing', () => tracing.stop())
  const { knex, redis } = await openStores(config, log, parts)
  const registry = createRegistry('api', knex)
  const { publisher, backlog } = await openPublisher(config, countPublishes(registry), log, parts)
  const scripts = loadScripts(redis, spikeScripts)
  const marks = new QueuedMarks(scripts, log)
  parts.add('queued marks', () => marks.stop())
  const outcomes = new OutcomeCounts(scripts, log)
  parts.add('outcome counts', () => outcomes.stop())
  const refusals = new Refusals(scripts, log)
  parts.add('refusals', () => refusals.stop())
  const ownRids = ridKey(config.jwtSecret)
  const tracker = new Tracker({
    redis,
    knex,
    ridKey: ownRids,
    backlog: freshFor(DEPTH_FRESH_MS, backlog),
    log,
  })
  const watcher = new Watcher({ tracker, subscriber: openSubscriber(config, log, parts), log })
  const revocations = new Revocations(knex, log)
  parts.add('revocations', () => revocations.stop())
  const provider = new SimulatedProvider({
    callbackUrl: config.paymentCallbackUrl,
    secret: config.paymentSecret,
    delayMs: PAYMENT_DELAY_MS,
    log,
  })
  const inFlight = new InFlight(config.maxInFlight)
  const metrics = createApiMetrics(registry, {
    inFlight: () => inFlight.count,
    crowdLimit: () => inFlight.crowdLimit,
    streams: () => watcher.count,
  })
  let accepting = true
  const rebuild = { knex, redis, scripts, backlog, log }
  const tokens = { key: tokenKey(config.jwtSecret), revocations, checked: new CheckedTokens() }
  const app = createApp({
    config,
    log,
    key: tokens.key,
    tokens,
    knex,
    redis,
    sale: { knex, redis, scripts, log },
    rebuild: (id, actor) => rebuildSale(rebuild, id, actor),
    repair: (id, options, actor) => repairSale(rebuild, id, options, actor),
    productCache: createProductCache({
      knex,
      redis,
      namespace: config.namespace,
      log,
      onLookup: (result) => metrics.cacheLookups.inc({ cache: 'product', result }),
    }),
    tracker,
    watcher,
    provider,
    revocations,
    buy: async (input) => {
      const purchase = await buy(
        { scripts, publisher, marks, outcomes, refusals, ridKey: ownRids, log },
        input,
      )
      metrics.purchases.inc({ outcome: purchase.kind })
      return purchase
    },
    settlePayment: (name, callback) =>
      settlePayment({ knex, redis, scripts, ridKey: ownRids, log }, name, callback),
    readiness: {
      accepting: () => accepting,
      checks: {
        postgres: () => knex.raw('SELECT 1'),
        redis: () => pingRedis(redis),
        rabbitmq: async () => {
          if (publisher.isBlocked) throw new Error('the broker is short of memory or disk')
          if (!publisher.isOpen || !publisher.hasRoom) throw new Error('no channel, or too many unconfirmed')
        },
      },
    },
    metrics,
    inFlight,
  })

  const crossOrigin = crossOriginHeaders(config.corsOrigins)
  const { known: knownBuyer } = buyerReader(tokens)
  const answerKnown = knownRefusalDoor({ app, crossOrigin, knownBuyer, refusals, outcomes, metrics })

  let server: Server | undefined
  return {
    async start() {
      await revocations.start()
      refusals.start()
      server = await listen(app.callback(), config.host, config.port, {
        inFlight,
        door: overloadDoor({ app, metrics, crossOrigin, answerKnown }),
        onBroken: answerBroken,
        onError: (error) => log.error({ err: error }, 'server error'),
      })
      log.info({ host: config.host, port: config.port }, 'api is listening')
    },
    async stop() {
      accepting = false
      watcher.stop()
      // The provider calls back over this very server, so it is heard out before the server closes.
      await provider.stop()
      if (server?.listening) await closeServer(server)
      await parts.stop()
    },
  }
}

async function openStores(
  config: Config,
  log: Logger,
  parts: StopList,
): Promise<{ knex: Knex; redis: RedisClient }> {
  const knex = createPostgres(
    { url: config.databaseUrl, applicationName: 'spike-api', poolMax: POOL_MAX.api },
    log,
  )
  parts.add('postgres', () => knex.destroy())
  await contactPostgres(knex, config.databaseUrl)
  const redis = createRedis(config.redisUrl, 'spike-api', log)
  parts.add('redis', async () => redis.disconnect())
  await contactDurableRedis(redis, 'REDIS_URL', config.redisUrl)
  return { knex, redis }
}

/** Connects when the first buyer watches a reservation. */
function openSubscriber(config: Config, log: Logger, parts: StopList): Subscriber {
  const redis = createSubscriberRedis(config.redisUrl, 'spike-api subscriber', log)
  parts.add('redis subscriber', async () => redis.disconnect())
  return new Subscriber(redis, log)
}

async function openPublisher(
  config: Config,
  onOutcome: ReturnType<typeof countPublishes>,
  log: Logger,
  parts: StopList,
) {
  const connection = await connectRabbit(config.amqpUrl, 'spike-api publisher', log)
  parts.add('rabbitmq', () => closeRabbit(connection))
  const topology = topologyOf(config.namespace)
  const signer = new MessageSigner(config.jwtSecret)
  const publisher = new ConfirmPublisher({
    connection,
    exchange: topology.exchange,
    maxUnconfirmed: MAX_UNCONFIRMED,
    prepare: (channel) => declareTopology(channel, topology),
    headersOf: (message) => signer.headersOf(message),
    onOutcome,
    log,
  })
  parts.add('publisher', () => publisher.stop())
  await publisher.start()
  return { publisher, backlog: () => queueDepth(connection, topology.queueOf(reservationAccepted)) }
}
