/** Whatever is changed through Bull Board leaves a row in the audit log: who, what, the queue before and after. */
import type { IncomingHttpHeaders } from 'node:http'
import type { createBullBoard } from '@bull-board/api'
import type { Queue } from 'bullmq'
import type { Knex } from 'knex'
import type { Next } from 'koa'
import { recordAudit } from '../src/audit/audit.ts'
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
  maySteer: boolean
  /** The write that the board has begun. */
  begun?: { action: string; target: string; sent: unknown; before: Counts; counts: () => Promise<Counts> }
}

type Counts = Record<string, unknown>

/**
 * Notes who calls, for the hooks, and audits what the board has begun, also when it did not come to its end. Stands in
 * front of the board.
 */
export function auditBoard(audit: BoardAudit): (ctx: DashboardContext, next: Next) => Promise<void> {
  return async (ctx, next) => {
    const caller: Caller = { maySteer: maySteer(ctx) }
    audit.callers.set(ctx.req.headers, caller)
    await next()
    const { begun } = caller
    const isRefused = ctx.status >= 400 && ctx.status <= 499
    if (begun === undefined || isRefused) return
    const { action, target, before, sent } = begun
    const actor = actorOf(ctx)
    if (ctx.status >= 500) audit.log.error({ ...actor, action, target }, 'the board failed half-way')
    try {
      const after = { ...(await begun.counts()), sent, status: ctx.status }
      await audit.knex.transaction((trx) => recordAudit(trx, actor, action, target, before, after))
    } catch (error) {
      // It is done and can't be undone: the log keeps what the table could not.
      audit.log.error({ err: error, ...actor, action, target, before }, 'not audited')
      ctx.status = 500
      ctx.body = { error: 'INTERNAL', message: 'Done, but not audited.' }
    }
  }
}

export function auditHooks(audit: BoardAudit, queues: readonly Queue[]): Hooks {
  return {
    async before(context) {
      if (context.method === 'get') return { allow: true }
      const caller = audit.callers.get(context.request?.headers ?? {})
      if (caller?.maySteer !== true)
        return { allow: false, status: 403, message: 'A viewer changes nothing.' }
      const counts = () => countsOf(queues, context)
      const sent: unknown = context.request?.body ?? {}
      caller.begun = { ...describe(context), sent, before: await counts(), counts }
      return { allow: true }
    },
  }
}

/** `queue.retry`, `queue.pause` and the like: the last word of the route that is no parameter; and what it is done to. */
function describe({ route, request }: HookContext): { action: string; target: string } {
  const words = route.split('/').filter((word) => word !== '' && !word.startsWith(':'))
  const { queueName = 'all queues', jobId, queueStatus } = request?.params ?? {}
  const target = [queueName, jobId ?? queueStatus].filter(Boolean).join(' ')
  return { action: `queue.${words.at(-1) ?? 'write'}`, target }
}

async function countsOf(queues: readonly Queue[], { request }: HookContext): Promise<Counts> {
  const name: unknown = request?.params?.queueName
  const touched = queues.filter((queue) => name === undefined || queue.name === name)
  const counts = touched.map(async (queue) => [
    queue.name,
    { ...(await queue.getJobCounts()), paused: await queue.isPaused() },
  ])
  return Object.fromEntries(await Promise.all(counts))
}
