/** Damage to the stores and the broker, and to the network before them. */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connect } from 'amqplib'
import { closeOrderJob } from '../../src/contracts/jobs/close-order.ts'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { topologyOf } from '../../src/contracts/messages/topology.ts'
import { queuePrefix } from '../../src/platform/bullmq/job.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { onRedis } from './cell.ts'
import { between, outage, repeatedly, type Fault, type FaultContext } from './fault.ts'
import type { StoreName } from './services.ts'

const STORES: readonly { name: string; store: StoreName }[] = [
  { name: 'redis', store: 'redis' },
  { name: 'queue-redis', store: 'queueRedis' },
  { name: 'rabbitmq', store: 'rabbitmq' },
  { name: 'postgres', store: 'postgres' },
]

type Strike = (context: FaultContext, store: StoreName) => Promise<void>

const ON_ANY_STORE: Record<string, Strike> = {
  kill: killService,
  stop: stopService,
  freeze: freezeNetwork,
  reset: resetConnections,
  'drop-reply': dropReplies,
  delay: delayNetwork,
}

export const STORE_FAULTS: readonly Fault[] = [
  ...Object.entries(ON_ANY_STORE).flatMap(([kind, strike]) =>
    STORES.map(({ name, store }) => ({
      name: `${kind}-${name}`,
      strike: (context: FaultContext) => strike(context, store),
    })),
  ),
  { name: 'flush-redis', strike: ({ cell }) => flush(cell.direct.REDIS_URL) },
  { name: 'flush-queue-redis', strike: ({ cell }) => flush(cell.direct.QUEUE_REDIS_URL) },
  { name: 'older-redis', strike: goBackInTime },
  { name: 'redis-full', strike: (context) => fill(context, context.cell.direct.REDIS_URL) },
  { name: 'queue-redis-full', strike: (context) => fill(context, context.cell.direct.QUEUE_REDIS_URL) },
  { name: 'script-flush', strike: flushScripts },
  { name: 'memory-alarm', strike: alarm },
  { name: 'delete-queue', strike: deleteQueue },
  { name: 'lost-timers', strike: loseTimers },
]

/** Struck only together with a fail point of the reconciler, which it makes pass. */
export const DAMAGE_REDIS: Fault = { name: 'damage-redis', strike: damageRecords }

/** SIGKILL, and a start on the same data. Half the time the port refuses meanwhile; else the proxy hangs up at once. */
async function killService({ cell, random }: FaultContext, store: StoreName): Promise<void> {
  const refuses = random.chance(0.5)
  await cell.services[store].kill()
  try {
    if (refuses) await cell.proxies[store].cut()
    await sleep(between(random, 0, 3_000))
  } finally {
    await cell.services[store].restart()
    await cell.proxies[store].restore()
  }
}

async function stopService({ cell, random }: FaultContext, store: StoreName): Promise<void> {
  cell.services[store].stop()
  try {
    await outage(random)
  } finally {
    cell.services[store].cont()
  }
}

/** Nothing passes and nobody says so. Half the time connections are reset in the end, else all comes through late. */
async function freezeNetwork({ cell, random }: FaultContext, store: StoreName): Promise<void> {
  const proxy = cell.proxies[store]
  const ruin = random.chance(0.5)
  proxy.fallSilent()
  try {
    await outage(random)
    if (ruin) proxy.reset()
  } finally {
    await proxy.restore()
  }
}

async function resetConnections({ cell, random }: FaultContext, store: StoreName): Promise<void> {
  for (let left = between(random, 1, 6); left > 0; left--) {
    cell.proxies[store].reset()
    await sleep(between(random, 20, 800))
  }
}

/** The request is done, its reply never comes: whoever asked can't know. */
async function dropReplies({ cell, random }: FaultContext, store: StoreName): Promise<void> {
  try {
    for (let left = between(random, 3, 12); left > 0; left--) {
      cell.proxies[store].dropNextReply()
      await sleep(between(random, 20, 500))
    }
  } finally {
    await cell.proxies[store].restore()
  }
}

async function delayNetwork({ cell, random }: FaultContext, store: StoreName): Promise<void> {
  cell.proxies[store].delay(between(random, 20, 400))
  try {
    await sleep(between(random, 1_000, 5_000))
  } finally {
    await cell.proxies[store].restore()
  }
}

async function flush(url: string): Promise<void> {
  await onRedis(url, (redis) => redis.flushall())
}

/** The stock Redis as after a loss of power: it comes back with what its file held a second before. */
async function goBackInTime({ cell, random }: FaultContext): Promise<void> {
  const { redis } = cell.services
  const file = join(redis.folder, 'appendonlydir')
  const older = join(redis.folder, 'older')
  // A rewrite would change the files while they are being copied.
  await onRedis(redis.url, (client) => client.config('SET', 'auto-aof-rewrite-percentage', '0'))
  const copy = (from: string, to: string) => promisify(execFile)('cp', ['-a', from, to])
  await copy(file, older)
  await sleep(between(random, 500, 1_500))
  await redis.kill()
  try {
    await rm(file, { recursive: true })
    await copy(older, file)
    await rm(older, { recursive: true })
  } finally {
    await redis.restart()
  }
}

/** No more memory to be had: reads go on, writes are refused. */
async function fill({ random }: FaultContext, url: string): Promise<void> {
  await onRedis(url, (redis) => redis.config('SET', 'maxmemory', '1'))
  try {
    await sleep(between(random, 500, 5_000))
  } finally {
    await onRedis(url, (redis) => redis.config('SET', 'maxmemory', '0'))
  }
}

async function flushScripts({ cell, random }: FaultContext): Promise<void> {
  const { REDIS_URL, QUEUE_REDIS_URL } = cell.direct
  await repeatedly(between(random, 1_000, 3_000), 200, () =>
    Promise.all([REDIS_URL, QUEUE_REDIS_URL].map((url) => onRedis(url, (redis) => redis.script('FLUSH')))),
  )
}

/** The broker takes no more messages and says nothing to those who publish; they are kept and taken afterwards. */
async function alarm({ cell, random }: FaultContext): Promise<void> {
  await cell.memoryAlarm(true)
  try {
    await outage(random)
  } finally {
    await cell.memoryAlarm(false)
  }
}

/** With all that waits in it. */
async function deleteQueue({ cell, namespace }: FaultContext): Promise<void> {
  const connection = await connect(cell.direct.AMQP_URL)
  const channel = await connection.createChannel()
  await channel.deleteQueue(topologyOf(namespace).queueOf(reservationAccepted))
  await connection.close()
}

/** The jobs that would close unpaid orders at their deadline. */
async function loseTimers({ cell, namespace }: FaultContext): Promise<void> {
  const key = `${queuePrefix(namespace, closeOrderJob.step)}:${closeOrderJob.step}:delayed`
  await onRedis(cell.direct.QUEUE_REDIS_URL, (redis) => redis.del(key))
}

/** As by a hand that slips: records that are gone, and units that come from nowhere. */
async function damageRecords({ cell, eventId, random }: FaultContext): Promise<void> {
  const { states, stock } = spikeKeys(eventId)
  await onRedis(cell.direct.REDIS_URL, async (redis) => {
    const rids = random.shuffled(await redis.hkeys(states)).slice(0, 3)
    if (rids.length > 0) await redis.hdel(states, ...rids)
    if (await redis.exists(stock)) await redis.incrby(stock, between(random, 1, 3))
  })
}
