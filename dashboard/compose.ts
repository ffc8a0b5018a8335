/** Composition root of the dashboard process: pages of the sale and Bull Board on Koa, behind a login. */
import type { Server } from 'node:http'
import type { Router } from '@koa/router'
import type { Knex } from 'knex'
import type Koa from 'koa'
import type { Registry } from 'prom-client'
import { closeOrderJob, type CloseOrderPayload } from '../src/contracts/jobs/close-order.ts'
import { createOrderJob, type CreateOrderPayload } from '../src/contracts/jobs/create-order.ts'
import { deadLetterJob, type DeadLetter } from '../src/contracts/jobs/dead-letter.ts'
import { releaseStockJob, type ReleaseStockPayload } from '../src/contracts/jobs/release-stock.ts'
import { reservationAccepted } from '../src/contracts/messages/reservation-accepted.ts'
import { MessageSigner } from '../src/contracts/messages/signature.ts'
import { declareTopology, topologyOf, type Topology } from '../src/contracts/messages/topology.ts'
import { POOL_MAX } from '../src/contracts/pools.ts'
import { JobProducer, type JobDefinition } from '../src/platform/bullmq/job.ts'
import { producerName } from '../src/platform/bullmq/process-tag.ts'
import type { LagDependencies } from '../src/figures/lag.ts'
import type { Config } from '../src/platform/config.ts'
import { closeServer, listen } from '../src/platform/http-server.ts'
import { StopList, type Running } from '../src/platform/lifecycle.ts'
import type { Logger } from '../src/platform/logger.ts'
import { countPublishes, createRegistry } from '../src/platform/metrics.ts'
import { internalTest } from '../src/platform/networks.ts'
import { contactPostgres, createPostgres } from '../src/platform/postgres/client.ts'
import { closeRabbit, connectRabbit, type RabbitConnection } from '../src/platform/rabbitmq/connection.ts'
import { ConfirmPublisher } from '../src/platform/rabbitmq/publisher.ts'
import { queueDepth } from '../src/platform/rabbitmq/queue-depth.ts'
import {
  contactDurableRedis,
  contactRedis,
  createQueueRedis,
  createRedis,
} from '../src/platform/redis/client.ts'
import type { Readiness } from '../src/platform/readiness.ts'
import { loadScripts, type Scripts } from '../src/platform/redis/define-script.ts'
import { pingRedis, type RedisClient } from '../src/platform/redis/nodes.ts'
import { serviceRoutes } from '../src/platform/service-routes.ts'
import type { RebuildDependencies } from '../src/rebuild.ts'
import { Remaining } from '../src/reserve/remaining.ts'
import { spikeScripts } from '../src/reserve/scripts.ts'
import { createLoginLimit } from '../src/users/login-limit.ts'
import { tokenKey } from '../src/users/tokens.ts'
import { actionRoutes } from './actions/routes.tsx'
import { createApp } from './app.ts'
import { auditRoutes } from './audit/routes.tsx'
import { auditBoard, type BoardAudit } from './board-audit.ts'
import { boardPlugin } from './board.ts'
import { csrfKey } from './csrf.ts'
import { deadLetterRoutes } from './dead-letters/routes.tsx'
import { LiveHub } from './live/hub.ts'
import { liveReaders } from './live/readers.ts'
import { liveRoutes } from './live/routes.tsx'
import { lookUpRoutes } from './look-up/routes.tsx'
import { reportRoutes } from './report/routes.tsx'
import type { SessionDependencies } from './session.ts'

const HOME = '/sales'
const MAX_UNCONFIRMED = 500

export interface Dashboard extends Running {
  /** Its routers tell what can be asked of it. */
  app: Koa
}

/**
 * Builds the dashboard. Stop order: HTTP, publisher, queues, stores.
 * @throws ServiceError when a store or the broker can't be used
 */
export async function compose(config: Config, log: Logger): Promise<Dashboard> {
  const parts = new StopList(log)
  try {
    return await assemble(config, log, parts)
  } catch (error) {
    await parts.stop()
    throw error
  }
}

async function assemble(config: Config, log: Logger, parts: StopList): Promise<Dashboard> {
  const { knex, redis, queueRedis } = await openStores(config, log, parts)
  const scripts = loadScripts(redis, spikeScripts)
  const signer = new MessageSigner(config.jwtSecret)
  const topology = topologyOf(config.namespace)
  const registry = createRegistry('dashboard', knex)
  const { connection, publisher } = await openBroker(config, registry, log, parts)
  const producers = openProducers(config, queueRedis, parts)
  const queues = Object.values(producers).map(({ queue }) => queue)
  const backlog = () => queueDepth(connection, topology.queueOf(reservationAccepted))
  const steering = { knex, redis, scripts, backlog, log }
  const audit: BoardAudit = { knex, log, callers: new WeakMap() }
  const hub = openHub({ knex, redis, queueRedis, topology, connection, producers }, log, parts)
  const app = createApp({
    config,
    log,
    session: sessionOf(config, { knex, redis }, log),
    service: [
      serviceRoutes({
        registry,
        readiness: readinessOf({ knex, redis, queueRedis, publisher }),
        isInternal: internalTest(config),
      }),
    ],
    features: featuresOf(config, { ...steering, ...producers, signer, topology, hub, publisher }),
    board: [auditBoard(audit) as never, boardPlugin(queues, config.env, audit)],
  })
  // Koa would print what it can't answer any more: a live page that was closed, for one.
  app.on('error', (error: Error) => log.debug({ err: error }, 'connection broke'))
  let server: Server | undefined
  return {
    app,
    async start() {
      server = await listen(app.callback(), config.host, config.dashboardPort, {
        onError: (error) => log.error({ err: error }, 'server error'),
      })
      log.info({ host: config.host, port: config.dashboardPort }, 'dashboard is listening')
    },
    async stop() {
      void hub.stop() // its streams would keep the server open
      if (server?.listening) await closeServer(server)
      await parts.stop()
    },
  }
}

function sessionOf(
  config: Config,
  { knex, redis }: { knex: Knex; redis: RedisClient },
  log: Logger,
): SessionDependencies {
  return {
    key: tokenKey(config.jwtSecret),
    csrfKey: csrfKey(config.jwtSecret),
    knex,
    loginLimit: createLoginLimit({
      enabled: config.rateLimit,
      redis,
      namespace: config.namespace,
      log,
      countAddresses: true,
    }),
    secure: config.env !== 'dev',
    home: HOME,
  }
}

interface FeatureDependencies extends Omit<RebuildDependencies, 'scripts'>, Producers {
  scripts: Scripts<typeof spikeScripts>
  signer: MessageSigner
  topology: Topology
  publisher: ConfirmPublisher
  hub: LiveHub
}

/** The pages, in the order in which they are asked. */
function featuresOf(config: Config, { hub, publisher, ...deps }: FeatureDependencies): Router[] {
  const { knex, redis, scripts, log } = deps
  const queues = queuesByStep(deps)
  return [
    liveRoutes({ knex, remaining: new Remaining(redis, log), hub }),
    lookUpRoutes({ knex, redis, queues, log, traceUrlTemplate: config.traceUrlTemplate }),
    reportRoutes({ knex, redis, scripts }),
    actionRoutes({ knex, redis, sale: deps, rebuild: deps, hub }),
    deadLetterRoutes({ ...deps, returns: publisher }),
    auditRoutes({ knex }),
  ]
}

function readinessOf(clients: {
  knex: Knex
  redis: RedisClient
  queueRedis: RedisClient
  publisher: ConfirmPublisher
}): Readiness {
  return {
    accepting: () => true, // it stops listening first of all
    checks: {
      postgres: () => clients.knex.raw('SELECT 1'),
      redis: () => pingRedis(clients.redis),
      queue_redis: () => pingRedis(clients.queueRedis),
      rabbitmq: async () => {
        if (!clients.publisher.isOpen) throw new Error('no channel')
      },
    },
  }
}

async function openStores(config: Config, log: Logger, parts: StopList) {
  const knex = createPostgres(
    { url: config.databaseUrl, applicationName: 'spike-dashboard', poolMax: POOL_MAX.dashboard },
    log,
  )
  parts.add('postgres', () => knex.destroy())
  await contactPostgres(knex, config.databaseUrl)
  const redis = createRedis(config.redisUrl, 'spike-dashboard', log)
  const queueRedis = createQueueRedis(config.queueRedisUrl, producerName(config.namespace, 'dashboard'), log)
  parts.add('redis', async () => [redis, queueRedis].forEach((client) => client.disconnect()))
  await contactDurableRedis(redis, 'REDIS_URL', config.redisUrl)
  await contactRedis(queueRedis, 'QUEUE_REDIS_URL', config.queueRedisUrl)
  return { knex, redis, queueRedis }
}

/** What is replayed goes back to where it came from, over the same exchange as everything else. */
async function openBroker(config: Config, registry: Registry, log: Logger, parts: StopList) {
  const topology = topologyOf(config.namespace)
  const connection = await connectRabbit(config.amqpUrl, 'spike-dashboard', log)
  parts.add('rabbitmq', () => closeRabbit(connection))
  const publisher = new ConfirmPublisher({
    connection,
    exchange: topology.exchange,
    maxUnconfirmed: MAX_UNCONFIRMED,
    prepare: (channel) => declareTopology(channel, topology),
    onOutcome: countPublishes(registry),
    log,
  })
  parts.add('publisher', () => publisher.stop())
  await publisher.start()
  return { connection, publisher }
}

/** What all live pages of this process are read with. */
function openHub(
  {
    producers,
    connection,
    ...stores
  }: Pick<LagDependencies, 'knex' | 'redis' | 'queueRedis' | 'topology'> & {
    connection: RabbitConnection
    producers: Producers
  },
  log: Logger,
  parts: StopList,
): LiveHub {
  const queues = queuesByStep(producers)
  const brokerDepth = (name: string) => queueDepth(connection, name)
  const hub = new LiveHub(liveReaders({ ...stores, queues, brokerDepth }), log)
  parts.add('live page', () => hub.stop())
  return hub
}

function queuesByStep(producers: Producers) {
  return {
    'create-order': producers.createOrders.queue,
    'close-order': producers.closeOrders.queue,
    'release-stock': producers.releases.queue,
    'dead-letter': producers.deadLetters.queue,
  }
}

interface Producers {
  createOrders: JobProducer<'create-order', CreateOrderPayload>
  closeOrders: JobProducer<'close-order', CloseOrderPayload>
  releases: JobProducer<'release-stock', ReleaseStockPayload>
  deadLetters: JobProducer<'dead-letter', DeadLetter>
}

/** Every queue of BullMQ, in the order of the flow. */
function openProducers(config: Config, queueRedis: RedisClient, parts: StopList): Producers {
  const open = <S extends string, P>(definition: JobDefinition<S, P>): JobProducer<S, P> => {
    const producer = new JobProducer(definition, config.namespace, queueRedis)
    parts.add(`queue ${definition.step}`, () => producer.close())
    return producer
  }
  return {
    createOrders: open(createOrderJob),
    closeOrders: open(closeOrderJob),
    releases: open(releaseStockJob),
    deadLetters: open(deadLetterJob),
  }
}
