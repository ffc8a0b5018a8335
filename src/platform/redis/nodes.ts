/** A Redis is one server, or the servers of a cluster, each of which serves a part of the keys. */
import { Cluster, type Redis } from 'ioredis'

/** What all commands that name their keys go to; whatever has no key goes to a server, see `mastersOf`. */
export type RedisClient = Redis | Cluster

/** True when one call may name any keys together: on a cluster, only those of one hash tag are sure to lie on one server. */
export function isOneServer(redis: RedisClient): redis is Redis {
  return !(redis instanceof Cluster)
}

/** Every server that takes writes; of a client that is connected. */
export function mastersOf(redis: RedisClient): Redis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis]
}

/** Host and port of a server. */
export function nodeName({ options }: Redis): string {
  return `${options.host}:${options.port}`
}

/**
 * Resolves when there is somebody to serve. One master of a cluster is enough: what the others have is refused by
 * itself, and is no reason to refuse the rest.
 */
export async function pingRedis(redis: RedisClient): Promise<void> {
  await Promise.any(mastersOf(redis).map((node) => node.ping())).catch((error: unknown) => {
    throw error instanceof AggregateError ? (error.errors[0] ?? new Error('no server is known')) : error
  })
}

/** Calls back whenever a server is connected to: the only one, or any of a cluster. */
export function onServerReady(redis: RedisClient, call: (node: Redis) => void): void {
  if (redis instanceof Cluster) redis.on('+node', (node: Redis) => node.on('ready', () => call(node)))
  else redis.on('ready', () => call(redis))
}
