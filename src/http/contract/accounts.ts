import { z } from 'zod'
import { id } from '../../contracts/values.ts'
import { ROLES, USER_SORTS } from '../../users/model.ts'
import { idParams, listQuery, pageOf, sortBy, text, timestamp } from './fields.ts'
import { defineRoute } from './route.ts'

const email = z.email().max(254)
/** Compared byte for byte, in the form in which it came. What could never be set is refused before it is compared. */
const newPassword = text(10, 128)
const password = text(1, 128)
/** Any text may be asked about: what is no refresh token of ours is unknown. */
const refreshToken = z.string().min(1).max(1_000)

export const userData = z
  .object({ id, email: z.string(), role: z.enum(ROLES) })
  .meta({ id: 'User', description: 'An account, as its owner sees it.' })

export const accountData = userData
  .extend({ disabled: z.boolean(), created_at: timestamp, updated_at: timestamp })
  .meta({ id: 'Account', description: 'An account, as an admin sees it.' })

export const sessionData = z
  .object({
    access_token: z.string(),
    token_type: z.literal('Bearer'),
    expires_in: z.int().describe('Seconds until the access token ends.'),
    refresh_token: z.string().describe('Good for one refresh; keep the one that comes back.'),
    refresh_expires_in: z.int().describe('Seconds until the refresh token ends.'),
    device_token: z
      .string()
      .describe('Send it with the next login from this device: tries of others do not count against it.'),
    user: userData,
  })
  .meta({ id: 'Session' })

export const accountRoutes = {
  register: defineRoute({
    method: 'post',
    path: '/auth/register',
    tag: 'accounts',
    summary: 'Make an account',
    access: 'anyone',
    limit: 'login',
    body: z.strictObject({ email, password: newPassword }),
    replies: { 201: { description: 'The account and its first session.', data: sessionData } },
    errors: ['EMAIL_TAKEN', 'RATE_LIMITED'],
  }),
  login: defineRoute({
    method: 'post',
    path: '/auth/login',
    tag: 'accounts',
    summary: 'Log in',
    description: 'Unknown, disabled and wrong get the same answer in the same time.',
    access: 'anyone',
    limit: 'login',
    body: z.strictObject({ email, password, device_token: z.string().max(1_000).optional() }),
    replies: { 200: { description: 'A session.', data: sessionData } },
    errors: ['INVALID_CREDENTIALS', 'RATE_LIMITED'],
  }),
  refresh: defineRoute({
    method: 'post',
    path: '/auth/refresh',
    tag: 'accounts',
    summary: 'Exchange a refresh token for a new session',
    description:
      'Each refresh token works once. A token that comes a second time was copied: all tokens of its login end. One login is refreshed at most 30 times a minute.',
    access: 'anyone',
    limit: 'write',
    body: z.strictObject({ refresh_token: refreshToken }),
    replies: { 200: { description: 'A new session.', data: sessionData } },
    errors: ['INVALID_REFRESH_TOKEN', 'RATE_LIMITED'],
  }),
  logout: defineRoute({
    method: 'post',
    path: '/auth/logout',
    tag: 'accounts',
    summary: 'End a session',
    description:
      'Ends all refresh tokens of the login. The answer does not tell whether the token was known.',
    access: 'anyone',
    limit: 'write',
    body: z.strictObject({ refresh_token: refreshToken }),
    replies: { 204: { description: 'The session has ended.' } },
    errors: [],
  }),
  readMe: defineRoute({
    method: 'get',
    path: '/users/me',
    tag: 'accounts',
    summary: 'Read the own account',
    access: 'user',
    limit: 'read',
    replies: { 200: { description: 'The account.', data: userData } },
    errors: [],
  }),
  changePassword: defineRoute({
    method: 'post',
    path: '/users/me/password',
    tag: 'accounts',
    summary: 'Change the own password',
    description: 'Ends every other session of the account.',
    access: 'user',
    limit: 'login',
    body: z.strictObject({ current_password: password, new_password: newPassword }),
    replies: { 200: { description: 'A new session.', data: sessionData } },
    errors: ['INVALID_CREDENTIALS', 'RATE_LIMITED'],
  }),
  listUsers: defineRoute({
    method: 'get',
    path: '/users',
    tag: 'accounts',
    summary: 'List accounts',
    access: 'admin',
    limit: 'read',
    query: listQuery({
      q: text(1, 100).optional().describe('Part of the e-mail.'),
      role: z.enum(ROLES).optional(),
      disabled: z.enum(['true', 'false']).optional(),
      sort: sortBy(USER_SORTS, 'created_at,desc'),
    }),
    replies: { 200: { description: 'One page of accounts.', data: pageOf(accountData) } },
    errors: [],
  }),
  patchUser: defineRoute({
    method: 'patch',
    path: '/users/:id',
    tag: 'accounts',
    summary: "Change an account's role, disable or enable it",
    description: 'The account loses what it may no longer do at once, and its sessions end.',
    access: 'admin',
    limit: 'write',
    params: idParams,
    body: z
      .strictObject({ role: z.enum(ROLES), disabled: z.boolean() })
      .partial()
      .refine((body) => Object.keys(body).length > 0, 'names nothing to change'),
    replies: { 200: { description: 'The account.', data: accountData } },
    errors: ['NOT_FOUND', 'LAST_ADMIN'],
  }),
}
