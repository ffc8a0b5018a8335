/** The workers' small HTTP server: health, readiness and metrics. */
import type { Server } from 'node:http'
import type { Knex } from 'knex'
import Koa from 'koa'
import type { Registry } from 'prom-client'
import type { Config } from '../src/platform/config.ts'
import { closeServer, listen } from '../src/platform/http-server.ts'
import type { Running } from '../src/platform/lifecycle.ts'
import type { Logger } from '../src/platform/logger.ts'
import { Loop } from '../src/platform/loop.ts'
import { internalTest } from '../src/platform/networks.ts'
import type { BatchConsumer } from '../src/platform/rabbitmq/batch-consumer.ts'
import type { ConfirmPublisher } from '../src/platform/rabbitmq/publisher.ts'
import type { Readiness } from '../src/platform/readiness.ts'
import { pingRedis, type RedisClient } from '../src/platform/redis/nodes.ts'
import { serviceRoutes } from '../src/platform/service-routes.ts'

const TRY_AGAIN_MS = 1_000

interface Clients {
  knex: Knex
  redis: RedisClient
  queueRedis: RedisClient
  publisher: ConfirmPublisher
  consumers: readonly BatchConsumer[]
}

/**
 * Listens on `WORKERS_PORT`, nowhere when that is 0. A port that is taken, by other workers of the same machine or by
 * those that this process replaces, is tried again for ever: work does not wait for it.
 */
export function workersListener(
  deps: Clients & { config: Config; registry: Registry; log: Logger },
): Running {
  const { config, registry, log } = deps
  const { host, workersPort: port } = config
  const app = new Koa()
  const isInternal = internalTest(config)
  app.use(serviceRoutes({ registry, readiness: readinessOf(deps), isInternal }).routes() as Koa.Middleware)
  const onError = (error: Error) => log.error({ err: error }, 'server error')
  app.on('error', onError)
  let server: Server | undefined
  const listening = new Loop(
    async () => {
      if (server === undefined) {
        server = await listen(app.callback(), host, port, { onError })
        log.info({ host, port }, 'workers are listening')
      }
      return { more: false }
    },
    TRY_AGAIN_MS,
    log.child({ part: 'listener', port }),
  )
  return {
    async start() {
      if (port !== 0) listening.start()
    },
    async stop() {
      await listening.stop()
      if (server?.listening) await closeServer(server)
    },
  }
}

/** They can work when every store answers, the broker takes messages, and every queue is consumed. */
function readinessOf({ knex, redis, queueRedis, publisher, consumers }: Clients): Readiness {
  return {
    accepting: () => true, // the consumers stop first of all
    checks: {
      postgres: () => knex.raw('SELECT 1'),
      redis: () => pingRedis(redis),
      queue_redis: () => pingRedis(queueRedis),
      rabbitmq: async () => {
        if (publisher.isBlocked) throw new Error('the broker is short of memory or disk')
        if (!publisher.isOpen) throw new Error('no channel')
      },
      consumers: async () => {
        if (!consumers.every(({ isOpen }) => isOpen)) throw new Error('a queue is not consumed')
      },
    },
  }
}
