/** Composition root of the dashboard process: pages of the sale and Bull Board on Koa, behind a login. */
import type { Server } from 'node:http'
import { Router } from '@koa/router'
import type Koa from 'koa'
import { closeOrderJob } from '../src/contracts/jobs/close-order.ts'
import { createOrderJob } from '../src/contracts/jobs/create-order.ts'
import { deadLetterJob } from '../src/contracts/jobs/dead-letter.ts'
import { releaseStockJob } from '../src/contracts/jobs/release-stock.ts'
import { reservationAccepted } from '../src/contracts/messages/reservation-accepted.ts'
import { MessageSigner } from '../src/contracts/messages/signature.ts'
import { declareTopology, topologyOf } from '../src/contracts/messages/topology.ts'
import { JobProducer, type JobDefinition } from '../src/platform/bullmq/job.ts'
import type { Config } from '../src/platform/config.ts'
import { closeServer, listen } from '../src/platform/http-server.ts'
import { StopList, type Running } from '../src/platform/lifecycle.ts'
import type { Logger } from '../src/platform/logger.ts'
import { contactPostgres, createPostgres } from '../src/platform/postgres/client.ts'
import { closeRabbit, connectRabbit } from '../src/platform/rabbitmq/connection.ts'
import { ConfirmPublisher } from '../src/platform/rabbitmq/publisher.ts'
import { queueDepth } from '../src/platform/rabbitmq/queue-depth.ts'
import {
  contactDurableRedis,
  contactRedis,
  createQueueRedis,
  createRedis,
} from '../src/platform/redis/client.ts'
import { loadScripts } from '../src/platform/redis/define-script.ts'
import { spikeScripts } from '../src/reserve/scripts.ts'
import { createLoginLimit } from '../src/users/login-limit.ts'
import { tokenKey } from '../src/users/tokens.ts'
import { createApp } from './app.ts'
import { noteCaller, type BoardAudit } from './board-audit.ts'
import { boardPlugin } from './board.ts'
import { csrfKey } from './csrf.ts'

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
  const { connection, publisher } = await openBroker(config, signer, log, parts)
  const producers = openProducers(config, queueRedis, parts)
  const queues = Object.values(producers).map(({ queue }) => queue)
  const backlog = () => queueDepth(connection, topology.queueOf(reservationAccepted))
  const audit: BoardAudit = { knex, log, callers: new WeakMap() }
  const app = createApp({
    config,
    log,
    session: {
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
    },
    service: [healthRoutes()],
    features: [],
    board: [noteCaller(audit) as never, boardPlugin(queues, config.env, audit)],
  })
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
      if (server?.listening) await closeServer(server)
      await parts.stop()
    },
  }
}

function healthRoutes(): Router {
  return new Router().get('/healthz', (ctx) => {
    ctx.body = { status: 'ok' }
  }) as Router
}

async function openStores(config: Config, log: Logger, parts: StopList) {
  const knex = createPostgres(
    { url: config.databaseUrl, applicationName: 'spike-dashboard', poolMax: 4 },
    log,
  )
  parts.add('postgres', () => knex.destroy())
  await contactPostgres(knex, config.databaseUrl)
  const redis = createRedis(config.redisUrl, 'spike-dashboard', log)
  const queueRedis = createQueueRedis(config.queueRedisUrl, 'spike-dashboard queues', log)
  parts.add('redis', async () => [redis, queueRedis].forEach((client) => client.disconnect()))
  await contactDurableRedis(redis, 'REDIS_URL', config.redisUrl)
  await contactRedis(queueRedis, 'QUEUE_REDIS_URL', config.queueRedisUrl)
  return { knex, redis, queueRedis }
}

/** What is replayed goes back to where it came from, over the same exchange as everything else. */
async function openBroker(config: Config, signer: MessageSigner, log: Logger, parts: StopList) {
  const topology = topologyOf(config.namespace)
  const connection = await connectRabbit(config.amqpUrl, 'spike-dashboard', log)
  parts.add('rabbitmq', () => closeRabbit(connection))
  const publisher = new ConfirmPublisher({
    connection,
    exchange: topology.exchange,
    maxUnconfirmed: MAX_UNCONFIRMED,
    prepare: (channel) => declareTopology(channel, topology),
    log,
  })
  parts.add('publisher', () => publisher.stop())
  await publisher.start()
  return { connection, publisher }
}

/** Every queue of BullMQ, in the order of the flow. */
function openProducers(config: Config, queueRedis: ReturnType<typeof createQueueRedis>, parts: StopList) {
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
