import type { KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import { register } from '../../users/accounts.ts'
import { changeUser, listUsers } from '../../users/administer.ts'
import { changePassword } from '../../users/change-password.ts'
import { issueDeviceToken } from '../../users/device-token.ts'
import { logIn } from '../../users/log-in.ts'
import type { LoginLimit } from '../../users/login-limit.ts'
import { presentAccount, presentUser, User } from '../../users/model.ts'
import type { Revocations } from '../../users/revocations.ts'
import { endSession, openSession, rotateSession, type Session } from '../../users/sessions.ts'
import { ACCESS_TOKEN_TTL_S, issueToken, readApiToken } from '../../users/tokens.ts'
import type { accountRoutes } from '../contract/accounts.ts'
import type { Context } from '../context.ts'
import { page } from '../contract/fields.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

interface AccountDependencies {
  knex: Knex
  key: KeyObject
  revocations: Revocations
  loginLimit: LoginLimit
}

export function accountHandlers(deps: AccountDependencies): HandlersOf<typeof accountRoutes> {
  return { ...sessionHandlers(deps), ...userHandlers(deps) }
}

function sessionHandlers(
  deps: AccountDependencies,
): Pick<HandlersOf<typeof accountRoutes>, 'register' | 'login' | 'refresh' | 'logout'> {
  const { knex } = deps
  return {
    register: async ({ body }) => {
      const check = await deps.loginLimit({ by: 'registration' })
      if (check.kind === 'limited') return refuse('RATE_LIMITED', { retryAfterS: check.retryAfterS })
      if (check.kind === 'not_ready') return refuse('NOT_READY')
      const result = await register(knex, body)
      switch (result.kind) {
        case 'email_taken':
          return refuse('EMAIL_TAKEN')
        case 'overloaded':
          return refuse('OVERLOADED')
        case 'registered':
          return { status: 201, data: presentSession(deps.key, result.user, result.session) }
      }
    },
    login: async ({ ctx, body }) => {
      const { email, password, device_token: deviceToken } = body
      const result = await logIn(deps, { email, password, ip: ctx.ip, deviceToken })
      switch (result.kind) {
        case 'limited':
          return refuse('RATE_LIMITED', { retryAfterS: result.retryAfterS })
        case 'not_ready':
          return refuse('NOT_READY')
        case 'overloaded':
          return refuse('OVERLOADED')
        case 'refused':
          return refuse('INVALID_CREDENTIALS')
        case 'authenticated': {
          const session = await openSession(knex, result.user)
          if (session === undefined) return refuse('INVALID_CREDENTIALS')
          return { status: 200, data: presentSession(deps.key, result.user, session) }
        }
      }
    },
    refresh: async ({ ctx, requestId, body }) => {
      const userId = callerOf(ctx, deps)
      const result = await rotateSession(knex, body.refresh_token, { userId, requestId })
      switch (result.kind) {
        case 'refused':
          return refuse('INVALID_REFRESH_TOKEN')
        case 'too_many':
          return refuse('RATE_LIMITED', { retryAfterS: result.retryAfterS })
        case 'rotated':
          return { status: 200, data: presentSession(deps.key, result.user, result.session) }
      }
    },
    logout: async ({ body }) => {
      await endSession(knex, body.refresh_token)
      return { status: 204 }
    },
  }
}

function userHandlers(
  deps: AccountDependencies,
): Pick<HandlersOf<typeof accountRoutes>, 'readMe' | 'changePassword' | 'listUsers' | 'patchUser'> {
  const { knex, revocations } = deps
  return {
    readMe: async ({ claims }) => {
      const user = await User.query(knex).findOne({ id: claims.sub, token_version: claims.ver })
      if (user === undefined || user.disabled) return refuse('UNAUTHENTICATED')
      return { status: 200, data: presentUser(user) }
    },
    changePassword: async ({ claims, body, requestId }) => {
      // Whoever holds a session guesses in a window of the account's own, and holds up nobody's login.
      const check = await deps.loginLimit({ by: 'owner', userId: claims.sub })
      if (check.kind === 'limited') return refuse('RATE_LIMITED', { retryAfterS: check.retryAfterS })
      if (check.kind === 'not_ready') return refuse('NOT_READY')
      const passwords = { current: body.current_password, next: body.new_password }
      const result = await changePassword(knex, claims, passwords, requestId)
      switch (result.kind) {
        case 'outdated':
          return refuse('UNAUTHENTICATED')
        case 'refused':
          return refuse('INVALID_CREDENTIALS')
        case 'overloaded':
          return refuse('OVERLOADED')
        case 'changed':
          revocations.add(result.user)
          return { status: 200, data: presentSession(deps.key, result.user, result.session) }
      }
    },
    listUsers: async ({ query }) => {
      const [sort, direction] = query.sort
      const disabled = query.disabled === undefined ? undefined : query.disabled === 'true'
      const { page: number, page_size: pageSize, q, role } = query
      const found = await listUsers(knex, { page: number, pageSize, sort, direction, q, role, disabled })
      return {
        status: 200,
        data: page(query, { items: found.items.map(presentAccount), total: found.total }),
      }
    },
    patchUser: async ({ params, body, claims, requestId }) => {
      const result = await changeUser(knex, params.id, body, { userId: claims.sub, requestId })
      switch (result.kind) {
        case 'not_found':
          return refuse('NOT_FOUND')
        case 'last_admin':
          return refuse('LAST_ADMIN')
        case 'done':
          revocations.add(result.user)
          return { status: 200, data: presentAccount(result.user) }
      }
    },
  }
}

function presentSession(key: KeyObject, user: User, session: Session) {
  return {
    access_token: issueToken(key, user, 'api'),
    token_type: 'Bearer' as const,
    expires_in: ACCESS_TOKEN_TTL_S,
    refresh_token: session.refreshToken,
    refresh_expires_in: session.expiresInS,
    device_token: issueDeviceToken(key, user.email, session.family),
    user: presentUser(user),
  }
}

/** Whose access token came along, if it is a good one; where tokens are optional, a bad one is none. */
function callerOf(ctx: Context, { key, revocations }: AccountDependencies): string | undefined {
  const [scheme, token = ''] = ctx.get('Authorization').split(' ')
  const claims = scheme?.toLowerCase() === 'bearer' ? readApiToken(key, token) : undefined
  return claims === undefined || revocations.revokes(claims) ? undefined : claims.sub
}
