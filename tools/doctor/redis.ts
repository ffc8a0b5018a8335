import { readlink } from 'node:fs/promises'
import { Redis } from 'ioredis'
import { redisNow } from '../../src/platform/redis/clock.ts'
import { hostOf } from '../../src/platform/service-error.ts'
import { checkClock } from './clock.ts'
import { checkServerDisk } from './disk.ts'
import { finding, ifTold, untold, unusable, type Finding } from './finding.ts'
import { checkVersion } from './versions.ts'

const TIMEOUT_MS = 5_000
/** A Redis that never evicts refuses every write once it is full. */
const FULL = 0.8

interface Examined {
  redis: Redis
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
  const what = `Redis ${hostOf(url)} (${setting})`
  return withRedis(
    url,
    (error) => [unusable(what, error, startCommand(setting))],
    async (redis) => {
      const info = await redis.info()
      const { hostname, port } = new URL(url)
      const examined: Examined = {
        redis,
        setting,
        field: (name) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1],
        cli: `redis-cli -h ${hostname} -p ${port || '6379'}`,
      }
      return [
        checkVersion(what, 'Redis', examined.field('redis_version') ?? 'unknown'),
        checkEviction(examined),
        ...(durable ? [await checkAppendOnly(examined)] : []),
        checkWrites(examined),
        checkMemory(examined),
        await checkClock(`${setting} clock`, () => redisNow(redis)),
        await ifTold(`${setting} disk`, () => checkDataFolder(examined)),
      ]
    },
  )
}

/** Runs checks on a connection of their own; `failed` makes the findings of a server that does not answer. */
export async function withRedis(
  url: string,
  failed: (error: unknown) => Finding[],
  checks: (redis: Redis) => Promise<Finding[]>,
): Promise<Finding[]> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: TIMEOUT_MS,
    commandTimeout: TIMEOUT_MS,
    retryStrategy: () => null,
  })
  let lastError: unknown
  redis.on('error', (error) => (lastError = error))
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
