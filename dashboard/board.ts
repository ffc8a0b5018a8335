import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { KoaAdapter } from '@bull-board/koa'
import type { Queue } from 'bullmq'
import type { Middleware } from 'koa'
import { createOrderJob } from '../src/contracts/jobs/create-order.ts'
import { deadLetterJob } from '../src/contracts/jobs/dead-letter.ts'
import { auditHooks, type BoardAudit } from './board-audit.ts'
import { maskBuyers } from './masking.ts'

export const BOARD_PATH = '/queues'

/** What the board shows of each queue. It sorts its overview by title, so titles begin with the number of their step. */
const SHOWN: Record<string, { title: string; description: string }> = {
  'create-order': {
    title: '4 create-order',
    description: 'PostgreSQL decides on each reservation. Read-only here: the sweep retries by itself.',
  },
  'close-order': { title: '5 close-order', description: 'Closes orders that are unpaid at their deadline.' },
  'release-stock': {
    title: '6 release-stock',
    description: 'Gives units back to Redis, once for each reservation.',
  },
  'dead-letter': {
    title: 'dead-letter',
    description:
      'What RabbitMQ or a worker could not handle. Read-only here: the page of dead letters replays and discards them.',
  },
}

/** A forged or retried order job could change nothing, and a letter is thrown away with a reason or not at all. */
const READ_ONLY: readonly string[] = [createOrderJob.step, deadLetterJob.step]

/**
 * Jobs are made by the processes alone. The board makes one with POST and rewrites one with PATCH, past the schema of
 * its queue, and a made-up release would show units that are not free; all else that it does is GET or PUT.
 */
export function refuseJobsByHand(): Middleware {
  return async (ctx, next) => {
    const isBoard = ctx.path === BOARD_PATH || ctx.path.startsWith(`${BOARD_PATH}/`)
    if (!isBoard || ['GET', 'HEAD', 'PUT'].includes(ctx.method)) return next()
    ctx.status = 405
    ctx.set('Allow', 'GET, HEAD, PUT')
    ctx.body = { error: 'METHOD_NOT_ALLOWED', message: 'Jobs are not made or changed by hand.' }
  }
}

/** Bull Board over all queues, in the order given. Everything that it changes is audited. */
export function boardPlugin(queues: readonly Queue[], environment: string, audit: BoardAudit): Middleware {
  const serverAdapter = new KoaAdapter().setBasePath(BOARD_PATH)
  createBullBoard({
    queues: queues.map((queue) => {
      const adapter = new BullMQAdapter(queue as never, {
        displayName: SHOWN[queue.name]?.title ?? queue.name,
        description: SHOWN[queue.name]?.description ?? '',
        readOnlyMode: READ_ONLY.includes(queue.name),
        allowRetries: !READ_ONLY.includes(queue.name),
      })
      adapter.setFormatter('data', maskBuyers)
      adapter.setFormatter('returnValue', maskBuyers)
      return adapter
    }),
    serverAdapter,
    options: {
      handlerHooks: auditHooks(audit, queues),
      uiConfig: {
        boardTitle: 'Flash sale',
        miscLinks: [
          { text: 'Sales', url: '/sales' },
          { text: 'Look up', url: '/look-up' },
          { text: 'Dead letters', url: '/dead-letters' },
        ],
        environment: { label: environment, color: environment === 'prod' ? '#fca5a5' : '#bfdbfe' },
        pollingInterval: { forceInterval: 10 },
        hideRedisDetails: true,
        sortQueues: false,
      },
    },
  })
  return withoutForeignFonts(serverAdapter.registerPlugin())
}

/** The page names fonts of another host, which nobody here asks for anything; without them it uses the system's. */
function withoutForeignFonts(plugin: Middleware): Middleware {
  return async (ctx, next) => {
    await plugin(ctx, next)
    if (ctx.response.is('html') && typeof ctx.body === 'string')
      ctx.body = ctx.body.replaceAll(/<link[^>]+fonts\.googleapis\.com[^>]*>/g, '')
  }
}
