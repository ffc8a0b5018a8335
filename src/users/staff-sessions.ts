/** Sessions of the dashboard: tokens of accounts that may see it, which end when they are logged out. */
import { randomUUID, type KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import type { z } from 'zod'
import { id } from '../contracts/values.ts'
import type { Role, User } from './model.ts'
import { claimsSchema, signToken } from './tokens.ts'

/** Who may see the dashboard; those who may change something too are told apart where something is changed. */
export const STAFF: readonly Role[] = ['viewer', 'operator', 'admin']

export const STAFF_SESSION_S = 8 * 3_600

/** Claims of a dashboard token after its signature, issuer, audience and expiry were checked. */
export const staffClaimsSchema = claimsSchema.extend({ jti: id })
export type StaffClaims = z.infer<typeof staffClaimsSchema>

export interface StaffSession {
  id: string
  userId: string
  email: string
  role: Role
}

/** @returns the token of a new session, and the session's id */
export function issueStaffToken(key: KeyObject, user: User): { token: string; id: string } {
  const id = randomUUID()
  const claims = { role: user.role, ver: user.token_version, jti: id }
  return { token: signToken(key, claims, 'dashboard', user.id, STAFF_SESSION_S), id }
}

/**
 * The session behind a token as it stands now: the account is read, so that a demotion, a new password, a logout or the
 * session's end counts at once and in every process, also for a page that stays open.
 * @returns undefined when it has ended
 */
export async function readStaffSession(knex: Knex, claims: StaffClaims): Promise<StaffSession | undefined> {
  const { rows } = await knex.raw(
    `SELECT id, email, role FROM users
      WHERE id = :sub AND token_version = :ver AND NOT disabled AND role = ANY (:staff)
        AND to_timestamp(:exp) > now()
        AND NOT EXISTS (SELECT FROM ended_sessions WHERE id = :jti)`,
    { ...claims, staff: [...STAFF] },
  )
  const [row] = rows as { id: string; email: string; role: Role }[]
  return row && { id: claims.jti, userId: row.id, email: row.email, role: row.role }
}

/** Ends a session for good, also for whoever has copied its token; forgets those that have ended by themselves. */
export async function endStaffSession(knex: Knex, claims: StaffClaims): Promise<void> {
  await knex.raw(
    `WITH forgotten AS (DELETE FROM ended_sessions WHERE expires_at < now())
     INSERT INTO ended_sessions (id, expires_at) VALUES (:jti, to_timestamp(:exp)) ON CONFLICT DO NOTHING`,
    { jti: claims.jti, exp: claims.exp },
  )
}
