import type { KeyObject } from 'node:crypto'
import type Router from '@koa/router'
import type { Knex } from 'knex'
import { z } from 'zod'
import { authenticate as checkPassword, register } from '../../users/accounts.ts'
import { presentUser, User } from '../../users/model.ts'
import { ACCESS_TOKEN_TTL_S, issueToken } from '../../users/tokens.ts'
import { answer, claimsOf, type Context, type Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import { validate } from '../validate.ts'

const credentials = z.strictObject({
  email: z.email().max(254),
  password: z.string().min(10).max(128),
})

/** Rules for new passwords say nothing about old ones. */
const login = credentials.extend({ password: z.string().min(1).max(128) })

export function accountRoutes(
  router: Router,
  deps: { knex: Knex; key: KeyObject; limitLogins: Middleware; user: Middleware },
): void {
  const tokens = (user: User) => ({
    access_token: issueToken(deps.key, user, 'api'),
    token_type: 'Bearer',
    expires_in: ACCESS_TOKEN_TTL_S,
    user: presentUser(user),
  })

  router.post('/auth/register', deps.limitLogins, async (ctx: Context) => {
    const result = await register(deps.knex, validate(credentials, ctx.request.body))
    if (result.kind === 'email_taken') throw new ApiError('EMAIL_TAKEN')
    answer(ctx, tokens(result.user), 201)
  })

  router.post('/auth/login', deps.limitLogins, async (ctx: Context) => {
    const result = await checkPassword(deps.knex, validate(login, ctx.request.body))
    if (result.kind === 'refused') throw new ApiError('INVALID_CREDENTIALS')
    answer(ctx, tokens(result.user))
  })

  router.get('/users/me', deps.user, async (ctx: Context) => {
    const user = await User.query(deps.knex).findById(claimsOf(ctx).sub)
    if (user === undefined || user.disabled) throw new ApiError('UNAUTHENTICATED')
    answer(ctx, presentUser(user))
  })
}
