/** Three nodes of one RabbitMQ cluster, so that a quorum queue has a copy on each and a majority without any one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ServiceDied } from './errors.ts'
import { binariesOf } from './local.ts'
import { nodeName, onNode, startEpmd, startNode } from './rabbitmq.ts'
import type { ClusterStarter, RunningService } from './service.ts'

const NODES = 3
const FORMED_WITHIN_MS = 60_000
const LOOK_EVERY_MS = 100

/** Starts three nodes at once, which find each other by a list that all of them have, and waits until all see all. */
export const startRabbitmqCluster: ClusterStarter = async ({ instance, home, env, log }) => {
  const binaries = await binariesOf(instance, home, ['rabbitmq'], env, log)('rabbitmq')
  const [password, cookie] = [instance.password(), instance.password()]
  const epmdPort = await startEpmd(instance, binaries)
  const names = Array.from({ length: NODES }, (_, i) => `rabbitmq-${i + 1}`)
  const conf = [
    'cluster_formation.peer_discovery_backend = classic_config',
    ...names.map((name, i) => `cluster_formation.classic_config.nodes.${i + 1} = ${nodeName(name)}`),
  ]
  const shared = { password, cookie, epmdPort, conf }
  const services = await Promise.all(
    names.map((name) => startNode(instance, binaries, { name, node: nodeName(name), ...shared })),
  )
  await Promise.all(services.map(untilFormed))
  const hosts = services.map(({ url }) => new URL(url).host)
  return {
    urls: { AMQP_URL: (services[0]?.url ?? '').replace(hosts[0] ?? '', hosts.join(',')) },
    nodes: new Map(services.map((service, i) => [names[i] ?? '', service])),
  }
}

/** A node that found nobody in time would go on as a cluster of its own. */
async function untilFormed({ spec }: RunningService): Promise<void> {
  const end = Date.now() + FORMED_WITHIN_MS
  for (;;) {
    const seen = await onNode(spec.env, 'length(rabbit_nodes:all_running())')
    if (Number(seen) === NODES) return
    if (Date.now() > end)
      throw new ServiceDied(`the nodes of rabbitmq-cluster did not find together: ${seen} did`)
    await sleep(LOOK_EVERY_MS)
  }
}
