/** Three masters that share the slots. No replicas: what a failover would lose is what the product must not need. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { ServiceDied } from './errors.ts'
import { binariesOf } from './local.ts'
import { LOOPBACK } from './ports.ts'
import { startRedis } from './redis.ts'
import type { ClusterStarter, RunningService } from './service.ts'

const MASTERS = 3
const SLOTS = 16_384
const FORMED_WITHIN_MS = 30_000
const LOOK_EVERY_MS = 50

/** Starts three masters, each with an append-only file, and waits until all of them serve all slots. */
export const startRedisCluster: ClusterStarter = async ({ instance, home, env, log }) => {
  const binaries = await binariesOf(instance, home, ['redis'], env, log)('redis')
  const password = instance.password()
  const names = Array.from({ length: MASTERS }, (_, i) => `redis-${i + 1}`)
  const services = await Promise.all(
    names.map((name) => startRedis(instance, binaries, name, { password, clustered: true })),
  )
  await form(services)
  const url = `redis://:${password}@${services.map((service) => new URL(service.url).host).join(',')}`
  return {
    urls: { REDIS_URL: url, QUEUE_REDIS_URL: url },
    nodes: new Map(services.map((service, i) => [names[i] ?? '', rejoining(service)])),
  }
}

/** A master that is back refuses commands for 2 s, until it has heard of the others: only then is it ready. */
function rejoining(service: RunningService): RunningService {
  return {
    ...service,
    async restart() {
      await service.restart()
      await withNodes([service], (nodes) => Promise.all(nodes.map(untilFormed)))
    },
  }
}

/** What `redis-cli --cluster create` does, which not every package of the server brings. */
async function form(services: readonly RunningService[]): Promise<void> {
  await withNodes(services, async (nodes) => {
    const [first] = nodes
    await Promise.all(
      nodes.map(async (node, i) => {
        await node.cluster('SET-CONFIG-EPOCH', i + 1)
        await node.call('CLUSTER', 'ADDSLOTSRANGE', firstSlot(i), firstSlot(i + 1) - 1)
      }),
    )
    for (const node of nodes.slice(1)) {
      const [, port = '', busPort = ''] = /:(\d+)@(\d+)/.exec(String(await node.cluster('NODES'))) ?? []
      await first?.call('CLUSTER', 'MEET', LOOPBACK, port, busPort)
    }
    await Promise.all(nodes.map(untilFormed))
  })
}

async function withNodes(
  services: readonly RunningService[],
  use: (nodes: Redis[]) => Promise<unknown>,
): Promise<void> {
  const nodes = services.map(({ url }) => new Redis(url))
  try {
    await use(nodes)
  } finally {
    for (const node of nodes) node.disconnect()
  }
}

function firstSlot(master: number): number {
  return Math.floor((master * SLOTS) / MASTERS)
}

async function untilFormed(node: Redis): Promise<void> {
  const end = Date.now() + FORMED_WITHIN_MS
  for (;;) {
    const info = await node.cluster('INFO')
    if (info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${MASTERS}`)) return
    if (Date.now() > end) throw new ServiceDied(`the nodes of redis-cluster did not find together:\n${info}`)
    await sleep(LOOK_EVERY_MS)
  }
}
