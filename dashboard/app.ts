/** The dashboard's middleware, in the one order in which it is asked. */
import { randomUUID } from 'node:crypto'
import { bodyParser } from '@koa/bodyparser'
import type { Router } from '@koa/router'
import Koa, { type Context, type Middleware } from 'koa'
import helmet from 'koa-helmet'
import type { Config } from '../src/platform/config.ts'
import type { Logger } from '../src/platform/logger.ts'
import { assetRoutes } from './assets.ts'
import { BOARD_PATH, refuseJobsByHand } from './board.ts'
import { showPage } from './page.tsx'
import {
  loginRoutes,
  logoutRoute,
  refuseCrossSite,
  requireCsrfToken,
  requireSession,
  requireSteering,
  type SessionDependencies,
} from './session.ts'

export interface AppDependencies {
  config: Config
  log: Logger
  session: SessionDependencies
  /** Open to machines, without a session: health and metrics. */
  service: readonly Router[]
  /** The pages, behind session and rights. */
  features: readonly Router[]
  board: readonly Middleware[]
}

export function createApp({ config, log, session, service, features, board }: AppDependencies): Koa {
  const app = new Koa({ proxy: config.trustProxy, maxIpsCount: 1 })
  const use = (middleware: unknown) => app.use(middleware as Middleware)
  use(nameRequest(config.env))
  use(answerErrors(log))
  use(
    helmet({
      referrerPolicy: { policy: 'same-origin' }, // without a referrer, browsers send a form with Origin: null
      contentSecurityPolicy: {
        directives: {
          upgradeInsecureRequests: null,
          fontSrc: ["'self'", 'data:'],
          styleSrc: ["'self'", "'unsafe-inline'"], // Bull Board's page has styles in its markup
        },
      },
    }),
  )
  for (const router of [assetRoutes(), ...service]) use(router.routes())
  use(refuseCrossSite())
  use(readBody())
  use(loginRoutes(session))
  use(requireSession(session))
  use(requireCsrfToken())
  use(logoutRoute(session))
  use(requireSteering())
  use(leadHome(session.home))
  for (const router of features) use(router.routes())
  use(refuseJobsByHand())
  for (const part of board) use(part)
  use(answerMissing())
  return app
}

function nameRequest(environment: string): Middleware {
  return (ctx, next) => {
    ctx.state.requestId = randomUUID()
    ctx.state.environment = environment
    return next()
  }
}

/** Logs the path alone: what was looked for stands in the query, and may be an e-mail. */
function answerErrors(log: Logger): Middleware {
  return async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      const { status = 500 } = error as { status?: number }
      const ours = status < 400 || status > 499
      const { requestId } = ctx.state
      if (ours) log.error({ err: error, requestId, method: ctx.method, path: ctx.path }, 'request failed')
      ctx.status = ours ? 500 : status
      ctx.body = ours
        ? { error: 'INTERNAL', message: 'Something went wrong on our side.', request_id: requestId }
        : { error: 'VALIDATION_FAILED', message: 'The request is not valid.', request_id: requestId }
    }
  }
}

/** Bull Board reads its own bodies. */
function readBody(): Middleware {
  const parse = bodyParser({ enableTypes: ['json', 'form'], formLimit: '4kb', jsonLimit: '4kb' })
  return (ctx, next) => (isOnBoard(ctx) ? next() : parse(ctx, next))
}

function isOnBoard({ path }: Context): boolean {
  return path === BOARD_PATH || path.startsWith(`${BOARD_PATH}/`)
}

function leadHome(home: string): Middleware {
  return async (ctx, next) => {
    if (ctx.path === '/') ctx.redirect(home)
    else await next()
  }
}

function answerMissing(): Middleware {
  return async (ctx, next) => {
    await next()
    if (ctx.status !== 404 || ctx.body != null || isOnBoard(ctx)) return
    showPage(ctx, missingPage)
  }
}

const missingPage = { title: 'Not found', status: 404, body: 'There is no such page.' }
