/** What one ratio works in: a database, a namespace and clients that nobody else uses, and all of it gone afterwards. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { SYSTEM } from '../../src/audit/audit.ts'
import { MESSAGES, topologyOf, type Topology } from '../../src/contracts/messages/topology.ts'
import { loadConfig, type Config } from '../../src/platform/config.ts'
import { createLogger, type Logger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { connectOnce } from '../../src/platform/rabbitmq/connection.ts'
import { createQueueRedis, createRedis } from '../../src/platform/redis/client.ts'
import { loadScripts, type Scripts } from '../../src/platform/redis/define-script.ts'
import { mastersOf, type RedisClient } from '../../src/platform/redis/nodes.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'
import { publishSale } from '../../src/sale.ts'
import { createEvent } from '../../src/spike-events/transitions.ts'
import { createTestDatabase } from '../../test/support/database.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import type { BenchWorld } from '../ratio.ts'

/** Logs of the measured processes. */
export const LOGS = join(fileURLToPath(new URL('../../.data', import.meta.url)), 'logs', 'bench')

const HOUR_MS = 3_600_000

export interface Arena {
  /** For the product's processes and the references: own database, namespace and ports, limits off. */
  env: NodeJS.ProcessEnv
  config: Config
  log: Logger
  knex: Knex
  /** The stock Redis. */
  redis: RedisClient
  queueRedis: RedisClient
  scripts: Scripts<typeof spikeScripts>
  topology: Topology
  /** Publishes a sale that can be bought from now. @returns the event's id */
  openSale(units: number): Promise<string>
  /** Removes everything that Redis knows of an event. */
  forgetSale(eventId: string): Promise<void>
  /** Messages ready in the queue of a kind. The kind's queue has to exist. */
  waiting(message: { key: string }): Promise<number>
  /** Empties all queues of the broker. */
  purge(): Promise<void>
}

/** Makes an arena; it is removed with the world's other traces. Processes of the product declare their queues. */
export async function openArena(world: BenchWorld): Promise<Arena> {
  const database = await createTestDatabase(world.env.DATABASE_URL ?? '')
  world.cleanup(() => database.drop())
  const env: NodeJS.ProcessEnv = {
    ...world.env,
    DATABASE_URL: database.url,
    NAMESPACE: `bench-${randomBytes(6).toString('hex')}`,
    PORT: String(await freePort()),
    DASHBOARD_PORT: String(await freePort()),
    WORKERS_PORT: String(await freePort()),
    RATE_LIMIT: 'off', // all buyers come from one address here
  }
  const config = loadConfig(env)
  const log = createLogger('bench', 'silent')
  const knex = createPostgres({ url: config.databaseUrl, applicationName: 'spike-bench', poolMax: 4 }, log)
  world.cleanup(() => knex.destroy())
  const redis = createRedis(config.redisUrl, 'spike-bench', log)
  const queueRedis = createQueueRedis(config.queueRedisUrl, 'spike-bench', log)
  world.cleanup(() => [redis, queueRedis].forEach((client) => client.disconnect()))
  const scripts = loadScripts(redis, spikeScripts)
  const topology = topologyOf(config.namespace)
  const broker = await connectOnce(config.amqpUrl, 'spike-bench')
  const channel = await broker.createChannel()
  world.cleanup(() => broker.close())

  const queues = [...MESSAGES.map((message) => topology.queueOf(message)), topology.deadQueue]
  // Its keys by their names: there may be a million others to look through.
  const forgetSale = async (eventId: string) =>
    void (await redis.unlink(...Object.values(spikeKeys(eventId))))
  world.cleanup(async () => {
    const events: { id: string }[] = await knex('spike_events').select('id')
    for (const { id } of events) await forgetSale(id)
    await unlinkMatching(redis, `${config.namespace}:*`)
    await unlinkMatching(queueRedis, `{${config.namespace}:*}:*`)
    for (const queue of queues) await channel.deleteQueue(queue)
    await channel.deleteExchange(topology.exchange)
    await channel.deleteExchange(topology.deadExchange)
  })
  return {
    env,
    config,
    log,
    knex,
    redis,
    queueRedis,
    scripts,
    topology,
    openSale: (units) => openSale({ knex, redis, scripts, log }, units),
    forgetSale,
    waiting: async (message) => (await channel.checkQueue(topology.queueOf(message))).messageCount,
    purge: async () => {
      for (const queue of queues) await channel.purgeQueue(queue)
    },
  }
}

async function openSale(deps: Pick<Arena, 'knex' | 'redis' | 'scripts' | 'log'>, units: number) {
  const { knex } = deps
  const productId = uuidv7()
  await knex('products').insert({ id: productId, sku: `BENCH-${productId}`, name: 'Bench', price: 1_000 })
  await knex('inventory').insert({ id: uuidv7(), product_id: productId, stock: units })
  await knex('inventory_movements').insert({
    id: uuidv7(),
    product_id: productId,
    delta: units,
    reason: 'bench',
  })
  const draft = await createEvent(
    knex,
    {
      productId,
      startAt: new Date(Date.now() - HOUR_MS),
      endAt: new Date(Date.now() + HOUR_MS),
      spikePrice: 500,
      stock: units,
      paymentWindowS: 3_600,
      perUserLimit: 1,
      lapseLimit: 1,
    },
    SYSTEM,
  )
  if (draft.kind !== 'done') throw new Error(`draft not made: ${draft.kind}`)
  const sale = await publishSale(deps, draft.event.id, SYSTEM)
  if (sale.kind !== 'done') throw new Error(`sale not published: ${sale.kind}`)
  return draft.event.id
}

/** What is measured is one server, and what it tells of itself. @throws for a cluster */
export function onlyServer(redis: RedisClient): Redis {
  const [server, ...others] = mastersOf(redis)
  if (server === undefined || others.length > 0)
    throw new Error('name one Redis server to measure, no cluster')
  return server
}

/** Removes every key that matches a glob. */
export async function unlinkMatching(redis: RedisClient, pattern: string): Promise<void> {
  for await (const keys of onlyServer(redis).scanStream({ match: pattern, count: 1_000 }))
    if ((keys as string[]).length > 0) await redis.unlink(...(keys as string[]))
}
