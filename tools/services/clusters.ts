/** What may stand in the place of a plain service: `npm run stack -- --with <name>`, `npm run clusters`. */
import { startPgbouncer } from './pgbouncer.ts'
import { startRabbitmqCluster } from './rabbitmq-cluster.ts'
import { startRedisCluster } from './redis-cluster.ts'
import type { ClusterStarter, ServiceUrls, StartedCluster } from './service.ts'

export type { ClusterStarter, StartedCluster } from './service.ts'

export const CLUSTERS = {
  'redis-cluster': startRedisCluster,
  pgbouncer: startPgbouncer,
  'rabbitmq-cluster': startRabbitmqCluster,
} satisfies Record<string, ClusterStarter>

export type ClusterName = keyof typeof CLUSTERS

/** Whose plain services are not started. A cluster that needs the plain one, as a pooler does, has none. */
const INSTEAD_OF: Record<ClusterName, readonly (keyof ServiceUrls)[]> = {
  'redis-cluster': ['REDIS_URL', 'QUEUE_REDIS_URL'],
  pgbouncer: [],
  'rabbitmq-cluster': ['AMQP_URL'],
}

/** The settings that these clusters fill, so that no plain service is needed for them. */
export function filledBy(names: readonly ClusterName[]): Set<keyof ServiceUrls> {
  return new Set(names.flatMap((name) => INSTEAD_OF[name]))
}

/** @throws for a name that no cluster has */
export function toClusterName(name: string): ClusterName {
  if (Object.hasOwn(CLUSTERS, name)) return name as ClusterName
  throw new Error(`there is no cluster '${name}': name one of ${Object.keys(CLUSTERS).join(', ')}`)
}

/** Starts them one after the other: each sees the URLs of those before. */
export async function startClusters(
  names: readonly ClusterName[],
  options: Parameters<ClusterStarter>[0],
): Promise<StartedCluster> {
  let urls: Partial<ServiceUrls> = {}
  const nodes: StartedCluster['nodes'][] = []
  for (const name of new Set(names)) {
    const began = Date.now()
    const started = await CLUSTERS[name]({ ...options, urls: { ...options.urls, ...urls } })
    options.log(`${name}: private instances ready in ${((Date.now() - began) / 1000).toFixed(1)} s`)
    urls = { ...urls, ...started.urls }
    nodes.push(started.nodes)
  }
  return { urls, nodes: new Map(nodes.flatMap((each) => [...each])) }
}
