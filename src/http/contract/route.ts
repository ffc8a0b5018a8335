/**
 * How a route of the API is declared: once, as data. The router, the checks of input, the rights, the limits, the
 * OpenAPI document, the client and the tests of the whole API all read the same declaration.
 */
import type { z } from 'zod'
import { ERROR_NAMES, type ErrorName } from '../errors.ts'

/**
 * Who may call a route. `viewer` includes operators and admins. `anyone`: tokens are not read. `visitor`: may come without a
 * token, but one that is sent has to be good. `provider` signs its requests instead.
 */
export type Access = 'anyone' | 'visitor' | 'user' | 'viewer' | 'admin' | 'provider'

/** Which windows a request is counted in; see `limits.ts` for the numbers. */
export type LimitClass = 'none' | 'login' | 'purchase' | 'write' | 'read'

export interface ReplySpec {
  description: string
  /** Schema of the envelope's `data`; none for answers without an envelope. */
  data?: z.ZodType
  /** Content type of answers without an envelope; absent for an empty body. */
  content?: string
  /** Headers that clients rely on, with what they hold. */
  headers?: Readonly<Record<string, string>>
}

export interface RouteSpec {
  method: 'get' | 'post' | 'patch' | 'delete'
  /** As the router reads it, behind `/api/v1` unless `outside` is set. */
  path: string
  /** True for routes that stand outside the prefix. */
  outside?: true
  tag: string
  summary: string
  description?: string
  access: Access
  limit: LimitClass
  /** Of `Idempotency-Key`; absent: the header is ignored. */
  idempotency?: 'optional' | 'required'
  /** `required`: `If-Match` must name the version that the caller has seen. */
  ifMatch?: 'required'
  /** Served only to the networks of INTERNAL_NETWORKS in prod. */
  internal?: true
  /** Answered also when too many requests are in flight: this is how one sees that they are. */
  probe?: true
  params?: z.ZodObject
  query?: z.ZodObject
  /** Request headers that only this route reads, with what they say. */
  headers?: Readonly<Record<string, string>>
  body?: z.ZodType
  replies: Readonly<Record<number, ReplySpec>>
  /** What this route may refuse on top of what its other properties imply; see `errorsOf`. */
  errors: readonly ErrorName[]
}

/** Checks a declaration's type and keeps its literal types. */
export function defineRoute<const R extends RouteSpec>(route: R): R {
  return route
}

/** Every error that a route can answer with, in the order of the table. */
export function errorsOf(route: RouteSpec): ErrorName[] {
  const { access } = route
  const implied: [boolean, ErrorName[]][] = [
    [[route.params, route.query, route.body].some(Boolean), ['VALIDATION_FAILED']],
    [access !== 'anyone' && access !== 'provider', ['UNAUTHENTICATED']],
    [access === 'viewer' || access === 'admin', ['FORBIDDEN']],
    [route.limit !== 'none', ['RATE_LIMITED']],
    [route.method !== 'get', ['VALIDATION_FAILED', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE']],
    [route.idempotency !== undefined, ['IDEMPOTENCY_IN_FLIGHT', 'IDEMPOTENCY_MISMATCH', 'RATE_LIMITED']],
    [route.idempotency === 'required', ['IDEMPOTENCY_KEY_REQUIRED']],
    [route.ifMatch !== undefined, ['PRECONDITION_REQUIRED', 'PRECONDITION_FAILED']],
    [route.internal === true, ['NOT_FOUND']],
    [route.probe !== true, ['NOT_READY', 'OVERLOADED']],
    [true, ['INTERNAL']],
  ]
  const errors = new Set([...route.errors, ...implied.flatMap(([holds, names]) => (holds ? names : []))])
  return ERROR_NAMES.filter((name) => errors.has(name))
}
