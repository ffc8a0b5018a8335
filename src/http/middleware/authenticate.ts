import type { KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import koaJwt from 'koa-jwt'
import { isSigned, SIGNATURE_HEADER } from '../../payments/signature.ts'
import { currentRole } from '../../users/accounts.ts'
import type { Role } from '../../users/model.ts'
import type { Revocations } from '../../users/revocations.ts'
import { claimsSchema, TOKEN_ALGORITHM, TOKEN_ISSUER } from '../../users/tokens.ts'
import type { Access } from '../contract/route.ts'
import { claimsOf, type Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'

interface AccessDependencies {
  key: KeyObject
  knex: Knex
  revocations: Revocations
  /** Signs the provider's callbacks. */
  paymentSecret: string
}

/**
 * Which roles each access takes. Operators and admins are asked for in the database on every request, so that a
 * demoted or disabled one loses it at once; users are checked against the revocations in memory.
 */
const ROLES_OF: Record<Exclude<Access, 'anyone' | 'visitor' | 'provider'>, readonly Role[]> = {
  user: ['user', 'operator', 'admin'],
  operator: ['operator', 'admin'],
  admin: ['admin'],
}

/** The one place that decides who may call what. */
export function accessGuard(deps: AccessDependencies): (access: Access) => Middleware {
  const authenticate = authenticator(deps)
  return (access) => {
    switch (access) {
      case 'anyone':
        return (_ctx, next) => next()
      case 'provider':
        return requireSignature(deps.paymentSecret)
      case 'visitor':
        return (ctx, next) => (ctx.get('Authorization') === '' ? next() : authenticate(ctx, next))
      case 'user':
        return authenticate
      case 'operator':
      case 'admin':
        return (ctx, next) => authenticate(ctx, () => requireRole(deps.knex, ROLES_OF[access])(ctx, next))
    }
  }
}

/** Checks the bearer token: signature, one algorithm, issuer, audience, expiry, claims, and that it was not revoked. */
function authenticator({ key, revocations }: AccessDependencies): Middleware {
  const check = koaJwt({
    secret: async () => key as never, // the library's type lacks key objects
    algorithms: [TOKEN_ALGORITHM],
    issuer: TOKEN_ISSUER,
    audience: 'api',
    key: 'token',
  })
  return async (ctx, next) => {
    await check(ctx, async () => undefined)
    const claims = claimsSchema.safeParse((ctx.state as { token?: unknown }).token)
    if (!claims.success || revocations.revokes(claims.data)) throw new ApiError('UNAUTHENTICATED')
    ctx.state.claims = claims.data
    await next()
  }
}

/** Checks that the body, to the byte, was signed by the payment provider. */
function requireSignature(secret: string): Middleware {
  return async (ctx, next) => {
    const raw = (ctx.request as { rawBody?: string }).rawBody ?? ''
    if (!isSigned(secret, raw, ctx.get(SIGNATURE_HEADER), Date.now())) throw new ApiError('INVALID_SIGNATURE')
    await next()
  }
}

function requireRole(knex: Knex, allowed: readonly Role[]): Middleware {
  return async (ctx, next) => {
    const role = await currentRole(knex, claimsOf(ctx).sub)
    if (role === undefined) throw new ApiError('UNAUTHENTICATED')
    if (!allowed.includes(role)) throw new ApiError('FORBIDDEN')
    await next()
  }
}
