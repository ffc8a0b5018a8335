/** What a handler of the contract is given, and what it may return. */
import type { Readable } from 'node:stream'
import type { z } from 'zod'
import type { Claims } from '../users/tokens.ts'
import type { ReplySpec, RouteSpec } from './contract/route.ts'
import type { Context } from './context.ts'
import type { ApiError, ErrorName } from './errors.ts'

type Output<S> = S extends z.ZodType ? z.output<S> : object

/** A request after all checks: input validated, token read, right granted. */
export interface Call<R extends RouteSpec> {
  ctx: Context
  requestId: string
  params: Output<R['params']>
  query: Output<R['query']>
  body: Output<R['body']>
  /** Whose token it is; for visitors without one, and where tokens are not read, undefined. */
  claims: R['access'] extends 'user' | 'viewer' | 'admin' ? Claims : Claims | undefined
  /** The version that `If-Match` names; undefined for `*` and where the route takes none. */
  expectedVersion: number | undefined
  /** The `Idempotency-Key` of the request, where the route takes one and one was sent. */
  idempotencyKey: string | undefined
}

type Headers = { headers?: Readonly<Record<string, string>> }

type ReplyOf<S, Spec extends ReplySpec> = Spec['data'] extends z.ZodType
  ? { status: S; data: z.input<Spec['data']> } & Headers
  : Spec extends { content: string }
    ? { status: S; content: string | Buffer | Readable; type?: string } & Headers
    : { status: S } & Headers

/** One of the replies that the route declares. */
export type Reply<R extends RouteSpec> = {
  [S in keyof R['replies'] & number]: ReplyOf<S, R['replies'][S]>
}[keyof R['replies'] & number]

/** Refusals that need no declaration, because any route may need them. */
type AlwaysAllowed = 'VALIDATION_FAILED' | 'NOT_READY' | 'OVERLOADED'

export type Refusal<R extends RouteSpec> =
  | { [N in R['errors'][number]]: ApiError<N> }[R['errors'][number]]
  | { [N in AlwaysAllowed & ErrorName]: ApiError<N> }[AlwaysAllowed]
  | (R extends { access: 'anyone' | 'provider' } ? never : ApiError<'UNAUTHENTICATED'>)
  | (R extends { ifMatch: string } ? ApiError<'PRECONDITION_FAILED'> : never)

export type Handler<R extends RouteSpec> = (call: Call<R>) => Promise<Reply<R> | Refusal<R>>

/** Handlers for a group of routes; one that is missing does not compile. */
export type HandlersOf<C extends Readonly<Record<string, RouteSpec>>> = { [K in keyof C]: Handler<C[K]> }
