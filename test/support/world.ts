/** The surroundings of one test file: real stores and a real broker, with names that nobody else uses. */
import { randomBytes } from 'node:crypto'
import type { Knex } from 'knex'
import { after } from 'mocha'
import { compose as composeDashboard } from '../../dashboard/compose.ts'
import { compose as composeApi } from '../../src/compose.ts'
import { MESSAGES, topologyOf, type Topology } from '../../src/contracts/messages/topology.ts'
import { loadConfig, type Config } from '../../src/platform/config.ts'
import type { Running } from '../../src/platform/lifecycle.ts'
import { createLogger, type Logger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { connectOnce } from '../../src/platform/rabbitmq/connection.ts'
import { createQueueRedis, createRedis } from '../../src/platform/redis/client.ts'
import { loadScripts, type Scripts } from '../../src/platform/redis/define-script.ts'
import { ridKey, type RidKey } from '../../src/reserve/rid.ts'
import { mastersOf, type RedisClient } from '../../src/platform/redis/nodes.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import type { ServiceUrls } from '../../tools/services/index.ts'
import { compose as composeWorkers } from '../../workers/compose.ts'
import { checkContractCoverage } from './coverage-of-contract.ts'
import { createTestDatabase, dropTemplate } from './database.ts'

export interface World {
  /** The environment that `config` was read from; processes started by a test get it. */
  env: NodeJS.ProcessEnv
  config: Config
  log: Logger
  knex: Knex
  /** The stock Redis. */
  redis: RedisClient
  queueRedis: RedisClient
  scripts: Scripts<typeof spikeScripts>
  /** What the product proves its rids with. */
  ridKey: RidKey
  topology: Topology
  /** `http://host:port` of each process, when it runs. */
  apiUrl: string
  dashboardUrl: string
  workersUrl: string
  /** Starts one of the product's processes inside the test's process; it is stopped with the world. */
  start(role: 'api' | 'workers' | 'dashboard'): Promise<Running>
  /** Stops what was started and removes every trace from stores and broker. */
  close(): Promise<void>
}

const COMPOSE = { api: composeApi, workers: composeWorkers, dashboard: composeDashboard }

/** URLs of the servers that tests run on; `npm test` provides them. */
export function serverUrls(): ServiceUrls {
  const { DATABASE_URL, REDIS_URL, QUEUE_REDIS_URL = REDIS_URL, AMQP_URL } = process.env
  if (!DATABASE_URL || !REDIS_URL || !QUEUE_REDIS_URL || !AMQP_URL)
    throw new Error(
      'tests need DATABASE_URL, REDIS_URL and AMQP_URL: run them with `npm test`, which provides all',
    )
  return { DATABASE_URL, REDIS_URL, QUEUE_REDIS_URL, AMQP_URL }
}

/**
 * @param overrides settings of the environment that differ from the usual ones of a test
 * @param servers where its stores and its broker are
 */
export async function createWorld(overrides: NodeJS.ProcessEnv = {}, servers = serverUrls()): Promise<World> {
  const database = await createTestDatabase(servers.DATABASE_URL)
  const env: NodeJS.ProcessEnv = {
    ...servers,
    DATABASE_URL: database.url,
    NAMESPACE: `test-${randomBytes(6).toString('hex')}`,
    PORT: String(await freePort()),
    DASHBOARD_PORT: String(await freePort()),
    WORKERS_PORT: String(await freePort()),
    JWT_SECRET: randomBytes(32).toString('hex'),
    PAYMENT_SECRET: randomBytes(32).toString('hex'),
    LOG_LEVEL: 'silent',
    ...overrides,
  }
  const config = loadConfig(env)
  const log = createLogger('test', config.logLevel)
  const knex = createPostgres({ url: config.databaseUrl, applicationName: 'spike-test', poolMax: 10 }, log)
  const redis = createRedis(config.redisUrl, 'spike-test', log)
  const queueRedis = createQueueRedis(config.queueRedisUrl, 'spike-test', log)
  const running: Running[] = []
  return {
    env: { PATH: process.env.PATH, NODE_V8_COVERAGE: process.env.NODE_V8_COVERAGE, ...env },
    config,
    log,
    knex,
    redis,
    queueRedis,
    scripts: loadScripts(redis, spikeScripts),
    ridKey: ridKey(config.jwtSecret),
    topology: topologyOf(config.namespace),
    apiUrl: `http://127.0.0.1:${config.port}`,
    dashboardUrl: `http://127.0.0.1:${config.dashboardPort}`,
    workersUrl: `http://127.0.0.1:${config.workersPort}`,
    async start(role) {
      const process = await COMPOSE[role](config, log)
      running.push(process)
      await process.start()
      return process
    },
    async close() {
      for (const process of running.toReversed()) await process.stop()
      await removeTraces(knex, redis, queueRedis, config)
      await knex.destroy()
      redis.disconnect()
      queueRedis.disconnect()
      await database.drop()
    },
  }
}

async function removeTraces(
  knex: Knex,
  redis: RedisClient,
  queueRedis: RedisClient,
  config: Config,
): Promise<void> {
  const events: { id: string }[] = await knex('spike_events').select('id')
  for (const { id } of events) await unlinkMatching(redis, `{spike:${id}}:*`)
  await unlinkMatching(redis, `${config.namespace}:*`)
  await unlinkMatching(queueRedis, `{${config.namespace}:*}:*`)
  const connection = await connectOnce(config.amqpUrl, 'spike-test')
  const channel = await connection.createChannel()
  const topology = topologyOf(config.namespace)
  for (const message of MESSAGES) await channel.deleteQueue(topology.queueOf(message))
  await channel.deleteQueue(topology.deadQueue)
  await channel.deleteExchange(topology.exchange)
  await channel.deleteExchange(topology.deadExchange)
  await connection.close()
}

async function unlinkMatching(redis: RedisClient, pattern: string): Promise<void> {
  const glob = pattern.replaceAll('[', '\\[')
  await redis.ping() // whoever has not connected yet knows of no server
  for (const node of mastersOf(redis))
    for await (const keys of node.scanStream({ match: glob, count: 1_000 }))
      await Promise.all((keys as string[]).map((key) => redis.unlink(key)))
}

// Run once, after the last file.
after(() => dropTemplate(serverUrls().DATABASE_URL))
after('the contract is covered', checkContractCoverage)
