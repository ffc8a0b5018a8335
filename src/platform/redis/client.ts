import { Redis } from 'ioredis'
import type { Logger } from '../logger.ts'
import { firstContact } from '../service-error.ts'
import { infoField } from './info.ts'

/** A server that is back is noticed soon; the library's own back-off goes up to 5 s. */
const retryStrategy = (times: number): number => Math.min(50 * 2 ** times, 500)

/**
 * A client for commands that never block: each has a time limit, and a dead server is told within a second.
 * A command may have run although its reply was lost; every script is therefore idempotent by its ids.
 */
export function createRedis(url: string, connectionName: string, log: Logger): Redis {
  return watch(
    new Redis(url, {
      connectionName,
      lazyConnect: true,
      retryStrategy,
      enableAutoPipelining: true,
      maxRetriesPerRequest: 1,
      connectTimeout: 5_000,
      commandTimeout: 2_000,
      keepAlive: 10_000,
    }),
    log,
  )
}

/**
 * A client that only listens. Its time limit is that of subscribing; messages may be as far apart as they like.
 * It subscribes again through `Subscriber`, because nobody hears of it when the client's own attempt fails.
 */
export function createSubscriberRedis(url: string, connectionName: string, log: Logger): Redis {
  return watch(
    new Redis(url, {
      connectionName,
      lazyConnect: true,
      retryStrategy,
      autoResubscribe: false,
      maxRetriesPerRequest: 1,
      connectTimeout: 5_000,
      commandTimeout: 2_000,
      keepAlive: 10_000,
    }),
    log,
  )
}

/** A client for BullMQ producers: no blocking commands, a dead server is an error at once. */
export function createQueueRedis(url: string, connectionName: string, log: Logger): Redis {
  return watch(
    new Redis(url, {
      connectionName,
      lazyConnect: true,
      retryStrategy,
      maxRetriesPerRequest: 1,
      commandTimeout: 5_000,
      connectTimeout: 5_000,
      keepAlive: 10_000,
    }),
    log,
  )
}

/** A client for BullMQ workers, which block and wait for ever: no command time limit, no retry limit. */
export function createWorkerRedis(url: string, connectionName: string, log: Logger): Redis {
  return watch(
    new Redis(url, {
      connectionName,
      lazyConnect: true,
      retryStrategy,
      maxRetriesPerRequest: null,
      connectTimeout: 5_000,
      keepAlive: 10_000,
    }),
    log,
  )
}

/**
 * Connects and checks that this Redis keeps what it is told for as long as it runs, which is enough for queues.
 * @throws ServiceError when it does not answer, or when it would evict keys under memory pressure
 */
export async function contactRedis(redis: Redis, setting: string, url: string): Promise<void> {
  await firstContact({ name: 'Redis', setting, url }, () => connectKeeping(redis))
}

/**
 * As `contactRedis`, for the Redis that has the stock: it has to know after a restart what was taken before.
 * @throws ServiceError also when it keeps no append-only file
 */
export async function contactDurableRedis(redis: Redis, setting: string, url: string): Promise<void> {
  await firstContact({ name: 'Redis', setting, url }, async () => {
    await connectKeeping(redis)
    if ((await infoField(redis, 'persistence', 'aof_enabled')) === '0')
      throw new Error(
        'appendonly is off, so a restart forgets reservations: redis-cli CONFIG SET appendonly yes, and the same in redis.conf',
      )
  })
}

async function connectKeeping(redis: Redis): Promise<void> {
  const lastError = new Promise<never>((_resolve, reject) => redis.once('error', reject))
  await Promise.race([redis.status === 'wait' ? redis.connect() : redis.ping(), lastError])
  const policy = await infoField(redis, 'memory', 'maxmemory_policy')
  if (policy !== 'noeviction')
    throw new Error(
      `maxmemory-policy is ${policy}, which drops stock under memory pressure: set it to noeviction`,
    )
}

function watch(redis: Redis, log: Logger): Redis {
  let lastMessage = ''
  redis.on('error', (error: Error) => {
    if (error.message !== lastMessage) log.warn({ err: error.message }, 'redis connection error')
    lastMessage = error.message
  })
  redis.on('ready', () => {
    if (lastMessage !== '') log.info('redis connection is back')
    lastMessage = ''
  })
  return redis
}
