import { readlink } from 'node:fs/promises'
import { Redis } from 'ioredis'
import { openCluster } from '../../src/platform/redis/client.ts'
import { namesCluster } from '../../src/platform/node-urls.ts'
import { mastersOf, nodeName, type RedisClient } from '../../src/platform/redis/nodes.ts'
import { hostOf } from '../../src/platform/service-error.ts'
import { checkClock } from './clock.ts'
import { checkServerDisk } from './disk.ts'
import { finding, ifTold, untold, unusable, type Finding } from './finding.ts'
import { checkVersion } from './versions.ts'

const TIMEOUT_MS = 5_000
/** A Redis that never evicts refuses every write once it is full. */
const FULL = 0.8
/** Of every cluster. */
const SLOTS = '16384'

interface Examined {
  redis: Redis
  /** The name of the setting, and of the server where the setting names several. */
  setting: string
  /** What the server tells of itself; undefined when it does not. */
  field: (name: string) => string | undefined
  /** `redis-cli` for this server; the password is the reader's to give. */
  cli: string
}

/**
 * Reachable, new enough, never evicts, writes what it has to, has room, clock, disk.
 * @param durable whether it has to keep an append-only file, as the one that has the stock does
 */
export async function checkRedis(
  setting: string,
  url: string,
  { durable }: { durable: boolean },
): Promise<Finding[]> {
  const refused = (address: string) => (error: unknown) => [
    unusable(`Redis ${address} (${setting})`, error, startCommand(setting)),
  ]
  return withRedis(url, refused(hostOf(url)), async (redis) => {
    const isCluster = namesCluster(url)
    const servers = mastersOf(redis).map((node) => {
      const name = isCluster ? `${setting} ${nodeName(node)}` : setting
      return checkServer(node, name, durable).catch(refused(nodeName(node)))
    })
    return [
      ...(isCluster ? [await checkCluster(redis, setting)] : []),
      ...(await Promise.all(servers)).flat(),
    ]
  })
}

/** All keys have a master, as far as the server that answers knows. */
async function checkCluster(redis: RedisClient, setting: string): Promise<Finding> {
  const info = await redis.cluster('INFO')
  const field = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? 'not told'
  const isWhole = field('cluster_state') === 'ok' && field('cluster_slots_ok') === SLOTS
  return finding(
    `${setting} cluster`,
    isWhole,
    `${field('cluster_size')} masters, state ${field('cluster_state')}, ${field('cluster_slots_ok')} of ${SLOTS} slots served`,
    'redis-cli --cluster check with any of its servers tells which one is away; start it',
  )
}

async function checkServer(redis: Redis, setting: string, durable: boolean): Promise<Finding[]> {
  const info = await redis.info()
  const { host, port } = redis.options
  const examined: Examined = {
    redis,
    setting,
    field: (name) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1],
    cli: `redis-cli -h ${host} -p ${port}`,
  }
  return [
    checkVersion(
      `Redis ${nodeName(redis)} (${setting.split(' ')[0]})`,
      'Redis',
      examined.field('redis_version') ?? 'unknown',
    ),
    checkEviction(examined),
    ...(durable ? [await checkAppendOnly(examined)] : []),
    checkWrites(examined),
    checkMemory(examined),
    await checkClock(`${setting} clock`, () => timeOf(redis)),
    await ifTold(`${setting} disk`, () => checkDataFolder(examined)),
  ]
}

async function timeOf(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}

/** Runs checks on a connection of their own; `failed` makes the findings of a server that does not answer. */
export async function withRedis(
  url: string,
  failed: (error: unknown) => Finding[],
  checks: (redis: RedisClient) => Promise<Finding[]>,
): Promise<Finding[]> {
  const options = { lazyConnect: true, connectTimeout: TIMEOUT_MS, commandTimeout: TIMEOUT_MS }
  const redis = namesCluster(url)
    ? openCluster(url, options)
    : new Redis(url, { ...options, retryStrategy: () => null })
  let lastError: unknown
  redis.on('error', (error: Error & { lastNodeError?: Error }) => (lastError = error.lastNodeError ?? error))
  try {
    await redis.connect()
    return await checks(redis)
  } catch (error) {
    return failed(lastError ?? error)
  } finally {
    redis.disconnect()
  }
}

function startCommand(setting: string): string {
  const service = setting === 'REDIS_URL' ? 'redis' : 'queue-redis'
  return `start Redis (docker compose up -d ${service}), or correct ${setting}`
}

function checkEviction({ setting, field, cli }: Examined): Finding {
  const policy = field('maxmemory_policy') ?? 'unknown'
  return finding(
    `${setting} maxmemory-policy`,
    policy === 'noeviction',
    policy,
    `${cli} CONFIG SET maxmemory-policy noeviction, and the same in redis.conf`,
  )
}

async function checkAppendOnly({ redis, setting, field, cli }: Examined): Promise<Finding> {
  const what = `${setting} append-only file`
  const mend = `${cli} CONFIG SET appendonly yes appendfsync everysec, and the same in redis.conf`
  if (field('aof_enabled') === '0') return finding(what, false, 'off', mend)
  const [, appendFsync] = (await redis.config('GET', 'appendfsync').catch(() => [])) as string[]
  return finding(what, appendFsync !== 'no', `on, appendfsync ${appendFsync ?? 'not told'}`, mend)
}

/** Whatever was written last must have reached the disk: after a failure, Redis refuses every write. */
function checkWrites({ setting, field, cli }: Examined): Finding {
  const failed = ['aof_last_write_status', 'aof_last_bgrewrite_status', 'rdb_last_bgsave_status'].filter(
    (name) => (field(name) ?? 'ok') !== 'ok',
  )
  const loading = field('loading') === '1'
  const detail = [...failed.map((name) => `${name} ${field(name)}`), ...(loading ? ['still loading'] : [])]
  return finding(
    `${setting} writes`,
    detail.length === 0,
    detail.length === 0 ? 'the last ones reached the disk' : detail.join(', '),
    loading
      ? `wait until it has read its files: ${cli} INFO persistence`
      : `make room on its disk, then ${cli} BGSAVE`,
  )
}

function checkMemory({ setting, field, cli }: Examined): Finding {
  const what = `${setting} memory`
  const used = Number(field('used_memory'))
  const limit = Number(field('maxmemory')) || Number(field('total_system_memory'))
  if (!(used > 0 && limit > 0)) return untold(what, 'this server does not say how much it uses')
  const mebibytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`
  return finding(
    what,
    used < limit * FULL,
    `${mebibytes(used)} of ${mebibytes(limit)}${field('maxmemory') === '0' ? ' (the machine; no maxmemory)' : ''}`,
    `${cli} CONFIG SET maxmemory ${mebibytes(limit * 2).replace(' MiB', 'mb')}, on a machine that has as much`,
  )
}

/** The folder is on this machine when the process that names it runs here, in that folder. */
async function checkDataFolder({ redis, setting, field }: Examined): Promise<Finding> {
  const [, folder = ''] = await redis.config('GET', 'dir')
  return checkServerDisk(`${setting} disk`, folder, async () => {
    return (await readlink(`/proc/${field('process_id')}/cwd`)) === folder
  })
}
