import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { Logger } from '../logger.ts'
import { firstContact, reasonOf } from '../service-error.ts'
import { infoField } from './info.ts'
import { namesCluster, nodeUrls } from '../node-urls.ts'
import { writeTogether } from './write-together.ts'
import { mastersOf, nodeName, onServerReady, pingRedis, type RedisClient } from './nodes.ts'

/** A server that is back is noticed soon; the library's own back-off goes up to 5 s. */
const retryStrategy = (times: number): number => Math.min(50 * 2 ** times, 500)
/** Of a cluster: a command looks again, 100 ms later each time, for who serves its key; then it is an error. */
const MAX_REDIRECTIONS = 8
/**
 * A server of a cluster that was lost is forgotten, and by itself only looked for when a command needs it: a process that
 * has little to ask would know fewer servers after each restart of one, until the last one it knows goes.
 */
const LOOK_FOR_SERVERS_EVERY_MS = 2_000

const COMMON = { lazyConnect: true, connectTimeout: 5_000, keepAlive: 10_000 }

type ClientOptions = Pick<
  RedisOptions,
  'connectionName' | 'connectTimeout' | 'commandTimeout' | 'maxRetriesPerRequest'
>

/**
 * A client for commands that never block: each has a time limit, and a dead server is told within a second.
 * A command may have run although its reply was lost; every script is therefore idempotent by its ids.
 */
export function createRedis(url: string, connectionName: string, log: Logger): RedisClient {
  return open(url, { connectionName, maxRetriesPerRequest: 1, commandTimeout: 2_000 }, log)
}

/**
 * A client that only listens. Its time limit is that of subscribing; messages may be as far apart as they like.
 * It subscribes again through `Subscriber`, because nobody hears of it when the client's own attempt fails.
 * A cluster tells every message to all of its servers: it listens to one, and goes on to the next when that one is lost.
 */
export function createSubscriberRedis(url: string, connectionName: string, log: Logger): Redis {
  const [first = url, ...others] = nodeUrls(url)
  const next = [...others, first].map(placeOf)
  const redis: Redis = new Redis(first, {
    ...COMMON,
    connectionName,
    autoResubscribe: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 2_000,
    retryStrategy(times) {
      // The client reads its options anew for every connection.
      if (others.length > 0) Object.assign(redis.options, next[(times - 1) % next.length])
      return retryStrategy(times)
    },
  })
  return watch(redis, log)
}

/** A client for BullMQ producers: no blocking commands, a dead server is an error at once. */
export function createQueueRedis(url: string, connectionName: string, log: Logger): RedisClient {
  return open(url, { connectionName, maxRetriesPerRequest: 1, commandTimeout: 5_000 }, log)
}

/** A client for BullMQ workers, which block and wait for ever: no command time limit, no retry limit. */
export function createWorkerRedis(url: string, connectionName: string, log: Logger): RedisClient {
  return open(url, { connectionName, maxRetriesPerRequest: null }, log)
}

function open(url: string, options: ClientOptions, log: Logger): RedisClient {
  if (!namesCluster(url))
    return watch(writeTogether(new Redis(url, { ...COMMON, retryStrategy, ...options })), log)
  const cluster = openCluster(url, { ...COMMON, ...options })
  cluster.on('+node', writeTogether)
  return watch(cluster, log)
}

/** A client of a cluster, unconnected. @param options of the connection to each server */
export function openCluster(url: string, options: ClientOptions): Cluster {
  const [first = url] = nodeUrls(url)
  const { username, password, protocol } = new URL(first)
  const isSecure = protocol === 'rediss:'
  return new Cluster(nodeUrls(url).map(placeOf), {
    lazyConnect: true,
    clusterRetryStrategy: retryStrategy,
    maxRedirections: MAX_REDIRECTIONS,
    slotsRefreshInterval: LOOK_FOR_SERVERS_EVERY_MS,
    // A certificate is for a name, so names are not looked up before.
    ...(isSecure ? { dnsLookup: (name, found) => found(null, name) } : {}),
    redisOptions: {
      ...options,
      username: decodeURIComponent(username),
      password: decodeURIComponent(password),
      ...(isSecure ? { tls: {} } : {}),
    },
  })
}

function placeOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 6379) }
}

/**
 * Connects and checks that this Redis keeps what it is told for as long as it runs, which is enough for queues.
 * @throws ServiceError when it does not answer, or when it would evict keys under memory pressure
 */
export async function contactRedis(redis: RedisClient, setting: string, url: string): Promise<void> {
  await firstContact({ name: 'Redis', setting, url }, () => contactEach(redis, checkKeeping))
}

/**
 * As `contactRedis`, for the Redis that has the stock: it has to know after a restart what was taken before.
 * @throws ServiceError also when it keeps no append-only file
 */
export async function contactDurableRedis(redis: RedisClient, setting: string, url: string): Promise<void> {
  await firstContact({ name: 'Redis', setting, url }, () =>
    contactEach(redis, async (node) => {
      await checkKeeping(node)
      await checkDurable(node)
    }),
  )
}

/** Every master of a cluster is asked: each has events of its own, and one that is away can't be vouched for. */
async function contactEach(redis: RedisClient, check: (node: Redis) => Promise<void>): Promise<void> {
  const lastError = new Promise<never>((_resolve, reject) =>
    redis.once('error', (error: Error & { lastNodeError?: Error }) => reject(error.lastNodeError ?? error)),
  )
  const connected = redis.status === 'wait' ? redis.connect() : pingRedis(redis)
  await Promise.race([connected, lastError])
  const nodes = mastersOf(redis)
  if (redis instanceof Redis) return checkAlone(redis, check)
  await Promise.all(
    nodes.map((node) =>
      check(node).catch((error: unknown) => {
        throw new Error(`master ${nodeName(node)}: ${reasonOf(error)}`, { cause: error })
      }),
    ),
  )
}

async function checkAlone(redis: Redis, check: (node: Redis) => Promise<void>): Promise<void> {
  await check(redis)
  if ((await infoField(redis, 'cluster', 'cluster_enabled')) === '1')
    throw new Error(
      'it is one server of a cluster: name several, as in redis://:password@host:port,host:port',
    )
}

async function checkKeeping(node: Redis): Promise<void> {
  const policy = await infoField(node, 'memory', 'maxmemory_policy')
  if (policy !== 'noeviction')
    throw new Error(
      `maxmemory-policy is ${policy}, which drops stock under memory pressure: set it to noeviction`,
    )
}

async function checkDurable(node: Redis): Promise<void> {
  if ((await infoField(node, 'persistence', 'aof_enabled')) === '0')
    throw new Error(
      'appendonly is off, so a restart forgets reservations: redis-cli CONFIG SET appendonly yes, and the same in redis.conf',
    )
}

/** Every message of a server is told once, until that server is back. */
function watch<Client extends RedisClient>(redis: Client, log: Logger): Client {
  const told = new Set<string>()
  const failed = ({ message }: Error, node?: string) => {
    const line = `${node} ${message}`
    if (!told.has(line)) log.warn({ err: message, node }, 'redis connection error')
    told.add(line)
  }
  redis.on('error', (error: Error) => failed(error))
  if (redis instanceof Cluster) redis.on('node error', failed)
  onServerReady(redis, (node) => {
    const name = redis instanceof Cluster ? nodeName(node) : undefined
    const lines = [...told].filter((line) => line.startsWith(`${name} `))
    if (lines.length > 0) log.info({ node: name }, 'redis connection is back')
    for (const line of lines) told.delete(line)
  })
  return redis
}
