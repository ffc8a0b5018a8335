/**
 * The stage of a run: a store of each kind that belongs to it alone, with a proxy in front that the product goes
 * through. The crowd and the checker go past the proxies. A cell is opened once and serves many runs.
 */
import { randomBytes } from 'node:crypto'
import { connect } from 'amqplib'
import { Redis } from 'ioredis'
import knexModule, { type Knex } from 'knex'
import { migrationSource } from '../../knexfile.ts'
import { MESSAGES, topologyOf } from '../../src/contracts/messages/topology.ts'
import { issueToken, MAX_TOKEN_TTL_S, tokenKey } from '../../src/users/tokens.ts'
import { makeBuyers } from '../../tools/lib/buyers.ts'
import type { ServiceUrls } from '../../tools/services/index.ts'
import { onNode } from '../../tools/services/rabbitmq.ts'
import { Proxy } from '../support/proxy.ts'
import { startServices, type Service, type StoreName } from './services.ts'

export interface Cell {
  /** Through the proxies, for the product's processes. */
  readonly urls: ServiceUrls
  /** Past the proxies. */
  readonly direct: ServiceUrls
  readonly services: Readonly<Record<StoreName, Service>>
  readonly proxies: Readonly<Record<StoreName, Proxy>>
  readonly jwtSecret: string
  readonly paymentSecret: string
  /** Is in the database after every reset. */
  readonly admin: { id: string; token: string }
  /** The environment of a run's processes. */
  env(namespace: string): NodeJS.ProcessEnv
  /** Turns the broker's memory alarm on, which blocks publishers, or off again. */
  memoryAlarm(on: boolean): Promise<void>
  /**
   * Brings everything up and empties it: a fresh database, flushed Redis, no queues of former runs. No process of the
   * product may run; connections to the database are cut.
   */
  reset(): Promise<void>
  close(): Promise<void>
}

/** Whom the API's tests of a run act as, and the secrets that make it so. */
interface Accounts {
  jwtSecret: string
  paymentSecret: string
  admin: { id: string; token: string }
}

const TEMPLATE = 'spike_template'
const DATABASE = 'spike'
/** RabbitMQ's own default. */
const WATERMARK = '0.4'
/** A byte: more is always in use. */
const NO_ROOM = '{absolute, 1}'

/**
 * Opens a cell; several can be open at the same time.
 * @param signal gives up; what runs is ended then
 */
export async function openCell(say: (line: string) => void, signal?: AbortSignal): Promise<Cell> {
  const { services: bare, close } = await startServices(say, signal)
  try {
    const services = { ...bare, rabbitmq: withQueuesWritten(bare.rabbitmq) }
    const direct = urlsOf(services, (store) => services[store].url)
    const accounts = await createTemplate(services.postgres.url)
    const proxies = await openProxies(services)
    const urls = urlsOf(services, (store) => proxies[store].urlOf(services[store].url))
    const cell = assemble({ services, proxies, direct, urls, accounts, close })
    await cell.reset()
    return cell
  } catch (error) {
    await close()
    throw error
  }
}

type Stores<T> = Record<StoreName, T>

/** The runs' database is a clone of the template. */
function urlsOf(services: Stores<Service>, urlOf: (store: StoreName) => string): ServiceUrls {
  return {
    DATABASE_URL: databaseUrl(urlOf('postgres'), DATABASE),
    REDIS_URL: urlOf('redis'),
    QUEUE_REDIS_URL: urlOf('queueRedis'),
    AMQP_URL: urlOf('rabbitmq'),
  }
}

async function openProxies(services: Stores<Service>): Promise<Stores<Proxy>> {
  const before = (store: StoreName) => Proxy.before(services[store].url)
  return {
    postgres: await before('postgres'),
    redis: await before('redis'),
    queueRedis: await before('queueRedis'),
    rabbitmq: await before('rabbitmq'),
  }
}

interface Parts {
  services: Stores<Service>
  proxies: Stores<Proxy>
  direct: ServiceUrls
  urls: ServiceUrls
  accounts: Accounts
  close: () => Promise<void>
}

function assemble({ services, proxies, direct, urls, accounts, close }: Parts): Cell {
  const used = new Set<string>()
  const memoryAlarm = async (on: boolean) => {
    const mark = on ? NO_ROOM : WATERMARK
    await onNode(services.rabbitmq.env, `ok = vm_memory_monitor:set_vm_memory_high_watermark(${mark})`)
  }
  return {
    urls,
    direct,
    services,
    proxies,
    ...accounts,
    env(namespace) {
      used.add(namespace)
      return {
        PATH: process.env.PATH,
        ...urls,
        JWT_SECRET: accounts.jwtSecret,
        PAYMENT_SECRET: accounts.paymentSecret,
        NAMESPACE: namespace,
        RATE_LIMIT: 'off',
        WORKERS_PORT: '0', // many workers of many runs share this machine
      }
    },
    memoryAlarm,
    async reset() {
      await Promise.all(Object.values(services).map((service) => service.restart()))
      for (const proxy of Object.values(proxies)) await proxy.restore()
      await Promise.all([
        emptyRedis(direct.REDIS_URL),
        emptyRedis(direct.QUEUE_REDIS_URL),
        emptyBroker(direct.AMQP_URL, [...used]),
        memoryAlarm(false),
        freshDatabase(services.postgres.url),
      ])
      used.clear()
    },
    async close() {
      for (const proxy of Object.values(proxies)) await proxy.cut()
      await close()
    },
  }
}

/** Migrates the template and makes its admin. */
async function createTemplate(serverUrl: string): Promise<Accounts> {
  await onDatabase(serverUrl, (knex) => knex.raw(`CREATE DATABASE ${TEMPLATE}`))
  const [jwtSecret, paymentSecret] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
  return onDatabase(databaseUrl(serverUrl, TEMPLATE), async (knex) => {
    await knex.migrate.latest({ migrationSource })
    const [account] = await makeBuyers(knex, jwtSecret, 1)
    if (account === undefined) throw new Error('no account was made')
    const id = account.user_id
    await knex('users').where({ id }).update({ role: 'admin' })
    const { token_version }: { token_version: number } = await knex('users')
      .where({ id })
      .first('token_version')
    const claims = { id, role: 'admin', token_version } as const
    const token = issueToken(tokenKey(jwtSecret), claims, 'api', MAX_TOKEN_TTL_S)
    return { jwtSecret, paymentSecret, admin: { id, token } }
  })
}

async function freshDatabase(serverUrl: string): Promise<void> {
  await onDatabase(serverUrl, async (knex) => {
    await knex.raw(`DROP DATABASE IF EXISTS ${DATABASE} WITH (FORCE)`)
    await knex.raw(`CREATE DATABASE ${DATABASE} TEMPLATE ${TEMPLATE}`)
  })
}

async function emptyRedis(url: string): Promise<void> {
  await onRedis(url, async (redis) => {
    await redis.config('SET', 'maxmemory', '0')
    await redis.flushall()
  })
}

async function emptyBroker(url: string, namespaces: readonly string[]): Promise<void> {
  if (namespaces.length === 0) return
  const connection = await connect(url)
  const channel = await connection.createChannel()
  for (const topology of namespaces.map(topologyOf)) {
    for (const message of MESSAGES) await channel.deleteQueue(topology.queueOf(message))
    await channel.deleteQueue(topology.deadQueue)
    await channel.deleteExchange(topology.exchange)
    await channel.deleteExchange(topology.deadExchange)
  }
  await connection.close()
}

/**
 * RabbitMQ 3 writes the names of its quorum queues up to 3 s late, and a queue that was declared within that time before a
 * SIGKILL never works again. A shop's queues are older than that; those of a run are made to look so.
 */
function withQueuesWritten(broker: Service): Service {
  return {
    ...broker,
    async kill() {
      // One that is stopped, or dead, does not answer.
      await onNode(broker.env, '[dets:sync(Table) || Table <- dets:all()]').catch(() => undefined)
      await broker.kill()
    },
  }
}

/** Does something on a Redis, past its proxy, over a connection of its own. */
export async function onRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 1 })
  redis.on('error', () => undefined) // the command that fails says it
  try {
    await redis.connect()
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}

async function onDatabase<T>(url: string, work: (knex: Knex) => Promise<T>): Promise<T> {
  const knex = knexModule({ client: 'pg', connection: url, pool: { min: 0, max: 1 } })
  try {
    return await work(knex)
  } finally {
    await knex.destroy()
  }
}

function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}
