import type { KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import koaJwt from 'koa-jwt'
import { isSigned, SIGNATURE_HEADER } from '../../payments/signature.ts'
import { standingOf } from '../../users/accounts.ts'
import type { Role } from '../../users/model.ts'
import type { Revocations } from '../../users/revocations.ts'
import { claimsSchema, readApiToken, TOKEN_ALGORITHM, TOKEN_ISSUER, type Claims } from '../../users/tokens.ts'
import type { Access } from '../contract/route.ts'
import type { Context, Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import type { CheckedTokens } from './checked-tokens.ts'

export interface TokenDependencies {
  key: KeyObject
  checked: CheckedTokens
  revocations: Revocations
}

interface AccessDependencies extends TokenDependencies {
  knex: Knex
  /** Signs the provider's callbacks. */
  paymentSecret: string
}

const ROLES_OF: Record<'viewer' | 'admin', readonly Role[]> = {
  viewer: ['viewer', 'operator', 'admin'],
  admin: ['admin'],
}

/** The one place that decides who may call what. */
export function accessGuard(deps: AccessDependencies): (access: Access) => Middleware {
  const readToken = tokenReader(deps)
  const authenticate = requireUser(readToken, deps.revocations)
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
      case 'viewer':
      case 'admin':
        return requireRole(readToken, deps.knex, ROLES_OF[access])
    }
  }
}

type TokenReader = (ctx: Context) => Promise<Claims>

/** Checks the bearer token itself: signature, one algorithm, issuer, audience, expiry, claims. */
function tokenReader({ key, checked }: TokenDependencies): TokenReader {
  const check = koaJwt({
    secret: async () => key as never, // the library's type lacks key objects
    algorithms: [TOKEN_ALGORITHM],
    issuer: TOKEN_ISSUER,
    audience: 'api',
    key: 'token',
  })
  return async (ctx) => {
    const header = ctx.get('Authorization')
    const known = checked.find(header)
    if (known !== undefined) return known
    await check(ctx, async () => undefined)
    const claims = claimsSchema.safeParse((ctx.state as { token?: unknown }).token)
    if (!claims.success) throw new ApiError('UNAUTHENTICATED')
    checked.add(header, claims.data)
    return claims.data
  }
}

/**
 * The same check of a user's token for those who come in crowds, in one call: koa-jwt's promises take three times as long
 * as the check itself.
 * @returns two readers of the header: `read`, and `known`, which has a word only on tokens that were checked before. Both
 * return who it is, or undefined when there is no good token
 */
export function buyerReader({ key, checked, revocations }: TokenDependencies) {
  const unrevoked = (claims: Claims | undefined) =>
    claims === undefined || revocations.revokes(claims) ? undefined : claims
  return {
    known: (header = '') => unrevoked(checked.find(header)),
    read: (header = '') => unrevoked(checked.find(header) ?? readNew(header)),
  }

  function readNew(header: string): Claims | undefined {
    const [scheme = '', token, ...more] = header.split(' ')
    if (token === undefined || more.length > 0 || !/^Bearer$/i.test(scheme)) return undefined
    const claims = readApiToken(key, token)
    if (claims !== undefined) checked.add(header, claims)
    return claims
  }
}

/** Users come in crowds: their accounts are not read, the revocations in memory are. */
function requireUser(readToken: TokenReader, revocations: Revocations): Middleware {
  return async (ctx, next) => {
    const claims = await readToken(ctx)
    if (revocations.revokes(claims)) throw new ApiError('UNAUTHENTICATED')
    ctx.state.claims = claims
    await next()
  }
}

/** The account is read on every request, so that a demotion counts at once and in every process. */
function requireRole(readToken: TokenReader, knex: Knex, allowed: readonly Role[]): Middleware {
  return async (ctx, next) => {
    const claims = await readToken(ctx)
    const standing = await standingOf(knex, claims)
    if (standing.kind === 'ended') throw new ApiError('UNAUTHENTICATED')
    if (!allowed.includes(standing.role)) throw new ApiError('FORBIDDEN')
    if (standing.kind === 'outdated') throw new ApiError('UNAUTHENTICATED')
    ctx.state.claims = claims
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
