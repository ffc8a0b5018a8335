import type { KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import koaJwt from 'koa-jwt'
import { currentRole } from '../../users/accounts.ts'
import type { Role } from '../../users/model.ts'
import { claimsSchema, TOKEN_ALGORITHM, TOKEN_ISSUER, type TokenPurpose } from '../../users/tokens.ts'
import { claimsOf, type Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'

/** Checks the bearer token: signature, one algorithm, issuer, audience, expiry, and the shape of its claims. */
export function authenticate(key: KeyObject, purpose: TokenPurpose): Middleware {
  const check = koaJwt({
    secret: async () => key as never, // the library's type lacks key objects
    algorithms: [TOKEN_ALGORITHM],
    issuer: TOKEN_ISSUER,
    audience: purpose,
    key: 'token',
  })
  return async (ctx, next) => {
    await check(ctx, async () => undefined)
    const claims = claimsSchema.safeParse((ctx.state as { token?: unknown }).token)
    if (!claims.success) throw new ApiError('UNAUTHENTICATED')
    ctx.state.claims = claims.data
    await next()
  }
}

/** Asks the database for the role, so that a demoted or disabled user loses it at once and not with the token. */
export function requireRole(knex: Knex, ...allowed: Role[]): Middleware {
  return async (ctx, next) => {
    const role = await currentRole(knex, claimsOf(ctx).sub)
    if (role === undefined) throw new ApiError('UNAUTHENTICATED')
    if (!allowed.includes(role)) throw new ApiError('FORBIDDEN')
    await next()
  }
}
