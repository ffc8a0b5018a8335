/** Whatever is changed through Bull Board leaves a row in the audit log: who, what, the queue before and after. */
import type { IncomingHttpHeaders } from 'node:http'
import type { createBullBoard } from '@bull-board/api'
import type { Queue } from 'bullmq'
import type { Knex } from 'knex'
import type { Next } from 'koa'
import { recordAudit, type Actor } from '../src/audit/audit.ts'
import type { Logger } from '../src/platform/logger.ts'
import { actorOf, maySteer, type DashboardContext } from './context.ts'

type Hooks = NonNullable<NonNullable<Parameters<typeof createBullBoard>[0]['options']>['handlerHooks']>
type HookContext = Parameters<NonNullable<Hooks['before']>>[0]

export interface BoardAudit {
  knex: Knex
  log: Logger
  /** Who sent a request that reaches the board, by its headers: all of it that the board hands to its hooks. */
  callers: WeakMap<IncomingHttpHeaders, Caller>
}

interface Caller {
  actor: Actor
  maySteer: boolean
  before?: Record<string, unknown>
}

/** Notes who calls, for the hooks. Stands in front of the board. */
export function noteCaller({ callers }: BoardAudit): (ctx: DashboardContext, next: Next) => Promise<void> {
  return (ctx, next) => {
    callers.set(ctx.req.headers, { actor: actorOf(ctx), maySteer: maySteer(ctx) })
    return next()
  }
}

export function auditHooks(audit: BoardAudit, queues: readonly Queue[]): Hooks {
  const callerOf = (context: HookContext) => audit.callers.get(context.request?.headers ?? {})
  return {
    async before(context) {
      if (context.method === 'get') return { allow: true }
      const caller = callerOf(context)
      if (caller?.maySteer !== true)
        return { allow: false, status: 403, message: 'A viewer changes nothing.' }
      caller.before = await countsOf(queues, context)
      return { allow: true }
    },
    async after(context, result) {
      const caller = callerOf(context)
      if (context.method === 'get' || caller === undefined || (result.status ?? 200) >= 400) return result
      const { params, body } = context.request
      const target = [params.queueName ?? 'all queues', params.jobId ?? params.queueStatus]
        .filter(Boolean)
        .join(' ')
      const after = { ...(await countsOf(queues, context)), sent: body ?? {} }
      try {
        await audit.knex.transaction((trx) =>
          recordAudit(trx, caller.actor, actionOf(context), target, caller.before ?? null, after),
        )
      } catch (error) {
        // It is done and can't be undone: the log keeps what the table could not.
        audit.log.error(
          { err: error, ...caller.actor, action: actionOf(context), target, after },
          'not audited',
        )
        return { status: 500, body: { error: 'Done, but not audited.' } }
      }
      return result
    },
  }
}

/** `queue.retry`, `queue.pause` and the like: the last word of the route that is no parameter. */
function actionOf({ route }: HookContext): string {
  const words = route.split('/').filter((word) => word !== '' && !word.startsWith(':'))
  return `queue.${words.at(-1) ?? 'write'}`
}

async function countsOf(
  queues: readonly Queue[],
  { request }: HookContext,
): Promise<Record<string, unknown>> {
  const name: unknown = request?.params?.queueName
  const touched = queues.filter((queue) => name === undefined || queue.name === name)
  const counts = touched.map(async (queue) => [
    queue.name,
    { ...(await queue.getJobCounts()), paused: await queue.isPaused() },
  ])
  return Object.fromEntries(await Promise.all(counts))
}
