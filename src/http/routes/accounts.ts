import type { KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import { authenticate as checkPassword, register } from '../../users/accounts.ts'
import { presentUser, User } from '../../users/model.ts'
import type { Revocations } from '../../users/revocations.ts'
import { ACCESS_TOKEN_TTL_S, issueToken } from '../../users/tokens.ts'
import type { accountRoutes } from '../contract/accounts.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

export function accountHandlers(deps: {
  knex: Knex
  key: KeyObject
  revocations: Revocations
}): HandlersOf<typeof accountRoutes> {
  const { knex } = deps
  const session = (user: User) => ({
    access_token: issueToken(deps.key, user, 'api'),
    token_type: 'Bearer' as const,
    expires_in: ACCESS_TOKEN_TTL_S,
    refresh_token: '',
    refresh_expires_in: 0,
    device_token: '',
    user: presentUser(user),
  })
  return {
    register: async ({ body }) => {
      const result = await register(knex, body)
      if (result.kind === 'email_taken') return refuse('EMAIL_TAKEN')
      return { status: 201, data: session(result.user) }
    },
    login: async ({ body }) => {
      const result = await checkPassword(knex, body)
      if (result.kind === 'refused') return refuse('INVALID_CREDENTIALS')
      return { status: 200, data: session(result.user) }
    },
    refresh: async () => refuse('NOT_READY'),
    logout: async () => refuse('NOT_READY'),
    readMe: async ({ claims }) => {
      const user = await User.query(knex).findById(claims.sub)
      if (user === undefined || user.disabled) return refuse('UNAUTHENTICATED')
      return { status: 200, data: presentUser(user) }
    },
    changePassword: async () => refuse('NOT_READY'),
    listUsers: async () => refuse('NOT_READY'),
    patchUser: async () => refuse('NOT_READY'),
  }
}
