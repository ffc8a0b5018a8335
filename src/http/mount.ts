/** Puts the contract on routers: for each route the same chain of checks, in the same order. */
import { Router } from '@koa/router'
import { z } from 'zod'
import { CONTRACT, type Contract, type RouteName } from './contract/index.ts'
import type { Access, LimitClass, RouteSpec } from './contract/route.ts'
import { answer, answerError, type Context, type Middleware } from './context.ts'
import { ApiError } from './errors.ts'
import type { Call, Handler, HandlersOf } from './handler.ts'
import { validate } from './validate.ts'

export const API_PREFIX = '/api/v1'

/** The checks in front of the handlers; each throws an ApiError to refuse. */
export interface Guards {
  /** Hides the route from networks that are not ours. */
  internal: Middleware
  /** Counts the request against its address, before anything else is done for it. */
  limitAddress: (limit: LimitClass) => Middleware
  /** Reads the token and checks the right. */
  access: (access: Access) => Middleware
  /** Counts the request against its user. */
  limitUser: (limit: LimitClass) => Middleware
  /** Runs `next` once for an Idempotency-Key and replays its answer; stands behind the checks of input. */
  idempotent: (mode: 'optional' | 'required', name: string) => Middleware
}

const NO_BODY = z.strictObject({})

/** What a token opens, and what a change is answered with, is for nobody's cache. */
const notKept: Middleware = (ctx, next) => {
  ctx.set('Cache-Control', 'no-store')
  return next()
}

/** @returns the routers, in the order in which they are asked */
export function mountContract(handlers: HandlersOf<Contract>, guards: Guards): Router[] {
  const outside = new Router()
  const api = new Router({ prefix: API_PREFIX })
  for (const name of Object.keys(CONTRACT) as RouteName[]) {
    const route: RouteSpec = CONTRACT[name]
    const router = route.outside ? outside : api
    const chain = chainOf(name, route, handlers[name] as unknown as Handler<RouteSpec>, guards)
    router[route.method](name, route.path, ...(chain as never[]))
  }
  return [outside, api]
}

function chainOf(name: string, route: RouteSpec, handler: Handler<RouteSpec>, guards: Guards): Middleware[] {
  const chain: Middleware[] = []
  if (route.method !== 'get' || !['anyone', 'visitor'].includes(route.access)) chain.push(notKept)
  if (route.internal) chain.push(guards.internal)
  if (route.limit !== 'none') chain.push(guards.limitAddress(route.limit))
  chain.push(guards.access(route.access))
  if (route.limit !== 'none') chain.push(guards.limitUser(route.limit))
  const calls = new WeakMap<Context, Call<RouteSpec>>()
  chain.push(async (ctx, next) => {
    calls.set(ctx, readCall(ctx, route))
    await next()
  })
  if (route.idempotency) chain.push(guards.idempotent(route.idempotency, name))
  chain.push(async (ctx) => {
    const call = calls.get(ctx)
    if (call === undefined) throw new Error(`${name} was reached without its call`)
    send(ctx, await handler({ ...call, idempotencyKey: ctx.state.idempotencyKey }))
  })
  return chain
}

/** @throws ApiError VALIDATION_FAILED, PRECONDITION_REQUIRED, PRECONDITION_FAILED */
function readCall(ctx: Context, route: RouteSpec): Call<RouteSpec> {
  const { params, query } = route
  const body = route.method === 'get' ? undefined : validate(route.body ?? NO_BODY, ctx.request.body ?? {})
  return {
    ctx,
    requestId: ctx.state.requestId,
    params: params === undefined ? {} : validate(params, ctx.params),
    query: query === undefined ? {} : validate(query, ctx.query),
    body: body ?? {},
    claims: ctx.state.claims,
    expectedVersion: route.ifMatch === undefined ? undefined : expectedVersion(ctx.get('If-Match')),
    idempotencyKey: undefined,
  }
}

/**
 * Our ETags are `"<version>"` or `"<version>.<more>"`; only the version guards a write. The weak form is as good:
 * proxies that compress answers make it of ours.
 */
function expectedVersion(header: string): number | undefined {
  if (header === '') throw new ApiError('PRECONDITION_REQUIRED')
  if (header.trim() === '*') return undefined
  const version = /^(?:W\/)?"(\d{1,10})(?:\.[^"]*)?"$/.exec(header.trim())?.[1]
  if (version === undefined) throw new ApiError('PRECONDITION_FAILED')
  return Number(version)
}

type AnyReply =
  | ApiError
  | { status: number; data?: unknown; content?: unknown; type?: string; headers?: Record<string, string> }

function send(ctx: Context, reply: AnyReply): void {
  if (reply instanceof ApiError) return answerError(ctx, reply)
  for (const [header, value] of Object.entries(reply.headers ?? {})) ctx.set(header, value)
  if (reply.data !== undefined) return answer(ctx, reply.data, reply.status)
  ctx.status = reply.status
  if (reply.type !== undefined) ctx.type = reply.type
  if (reply.content !== undefined) ctx.body = reply.content
  else ctx.body = null
}
