/** Composition root of the dashboard process: Bull Board on Koa behind a login, on a port of its own. */
import type { Server } from 'node:http'
import { bodyParser } from '@koa/bodyparser'
import Koa, { type Middleware } from 'koa'
import helmet from 'koa-helmet'
import { JOBS } from '../src/contracts/jobs/registry.ts'
import { openQueue } from '../src/platform/bullmq/job.ts'
import type { Config } from '../src/platform/config.ts'
import { closeServer, listen } from '../src/platform/http-server.ts'
import { StopList, type Running } from '../src/platform/lifecycle.ts'
import type { Logger } from '../src/platform/logger.ts'
import { contactPostgres, createPostgres } from '../src/platform/postgres/client.ts'
import { contactRedis, createQueueRedis, createRedis } from '../src/platform/redis/client.ts'
import { createLoginLimit } from '../src/users/login-limit.ts'
import { tokenKey } from '../src/users/tokens.ts'
import { BOARD_PATH, boardPlugin, refuseJobsByHand } from './board.ts'
import { loginRoutes, refuseCrossSite, requireOperator, type SessionDependencies } from './session.ts'

/**
 * Builds the dashboard. Stop order: HTTP, queues, stores.
 * @throws ServiceError when a store can't be used
 */
export async function compose(config: Config, log: Logger): Promise<Running> {
  const parts = new StopList(log)
  try {
    const knex = createPostgres(
      { url: config.databaseUrl, applicationName: 'spike-dashboard', poolMax: 4 },
      log,
    )
    parts.add('postgres', () => knex.destroy())
    await contactPostgres(knex, config.databaseUrl)
    const redis = createRedis(config.redisUrl, 'spike-dashboard', log)
    const queueRedis = createQueueRedis(config.queueRedisUrl, 'spike-dashboard queues', log)
    parts.add('redis', async () => [redis, queueRedis].forEach((client) => client.disconnect()))
    await contactRedis(redis, 'REDIS_URL', config.redisUrl)
    await contactRedis(queueRedis, 'QUEUE_REDIS_URL', config.queueRedisUrl)
    const queues = JOBS.map((job) => openQueue(job.step, config.namespace, queueRedis))
    for (const queue of queues) parts.add(`queue ${queue.name}`, () => queue.close())

    const app = createDashboard(config, log, boardPlugin(queues, config.env), {
      key: tokenKey(config.jwtSecret),
      knex,
      loginLimit: createLoginLimit({
        enabled: config.rateLimit,
        redis,
        namespace: config.namespace,
        log,
        countAddresses: true,
      }),
      secure: config.env !== 'dev',
      home: BOARD_PATH,
    })
    let server: Server | undefined
    return {
      async start() {
        server = await listen(app.callback(), config.host, config.dashboardPort, {
          onError: (error) => log.error({ err: error }, 'server error'),
        })
        log.info({ host: config.host, port: config.dashboardPort }, 'dashboard is listening')
      },
      async stop() {
        if (server?.listening) await closeServer(server)
        await parts.stop()
      },
    }
  } catch (error) {
    await parts.stop()
    throw error
  }
}

function createDashboard(config: Config, log: Logger, board: Middleware, session: SessionDependencies): Koa {
  const app = new Koa({ proxy: config.trustProxy, maxIpsCount: 1 })
  app.use(async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      const { status = 500 } = error as { status?: number }
      const ours = status < 400 || status > 499
      if (ours) log.error({ err: error, method: ctx.method, path: ctx.path }, 'request failed')
      ctx.status = ours ? 500 : status
      ctx.body = ours
        ? { error: 'INTERNAL', message: 'Something went wrong on our side.' }
        : { error: 'VALIDATION_FAILED', message: 'The request is not valid.' }
    }
  })
  app.use(
    helmet({
      referrerPolicy: { policy: 'same-origin' }, // without a referrer, browsers send a form with Origin: null
      contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    }),
  )
  app.use(async (ctx, next) => {
    if (ctx.path === '/healthz') ctx.body = { status: 'ok' }
    else if (ctx.path === '/') ctx.redirect(session.home)
    else await next()
  })
  app.use(refuseCrossSite())
  app.use(loginBody())
  app.use(loginRoutes(session) as Middleware)
  app.use(requireOperator(session) as Middleware)
  app.use(refuseJobsByHand())
  app.use(board)
  return app
}

/** Only the login form has a body of ours; Bull Board reads its own. */
function loginBody(): Middleware {
  const parse = bodyParser({ enableTypes: ['json', 'form'], formLimit: '4kb', jsonLimit: '4kb' })
  return (ctx, next) => (ctx.path === '/login' ? parse(ctx, next) : next())
}
