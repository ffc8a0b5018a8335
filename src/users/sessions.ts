/**
 * Refresh tokens. All that come from one login form a family, and each works once. Whoever opens, rotates or ends a
 * session holds the row of its user, so that nothing is opened beside an end of all sessions.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { recordAudit } from '../audit/audit.ts'
import { User } from './model.ts'

const TOKEN_DAYS = 7
const FAMILY_DAYS = 30

export interface Session {
  /** Shared by all tokens that come from one login. */
  family: string
  /** In plain text only here; PostgreSQL has its hash. */
  refreshToken: string
  expiresInS: number
}

/**
 * The session of somebody who has just shown the password.
 * @returns undefined when the account has changed since it was read: the password may be an old one
 */
export function openSession(knex: Knex, user: User): Promise<Session | undefined> {
  return knex.transaction(async (trx) => {
    const { id, token_version } = user
    const unchanged = await User.query(trx).findOne({ id, token_version }).forNoKeyUpdate()
    return unchanged === undefined ? undefined : addFamily(trx, id)
  })
}

/** Opens a family, and removes those of the user that are over. The caller holds the user's row. */
export async function addFamily(trx: Knex.Transaction, userId: string): Promise<Session> {
  await trx('refresh_tokens')
    .where({ user_id: userId })
    .whereRaw('(revoked_at IS NOT NULL OR family_expires_at <= now())')
    .delete()
  return addToken(trx, userId, uuidv7())
}

export type Rotated = { kind: 'rotated'; user: User; session: Session } | { kind: 'refused' }

/**
 * Exchanges a refresh token for the next one of its family. One that comes a second time was copied, by its owner
 * or by somebody else: the whole family ends.
 * @param caller `userId` of the access token that came along, if it is a good one
 */
export function rotateSession(
  knex: Knex,
  refreshToken: string,
  caller: { userId: string | undefined; requestId: string },
): Promise<Rotated> {
  return knex.transaction(async (trx): Promise<Rotated> => {
    const found = await findLocked(trx, refreshToken)
    if (found === undefined || found.token.revoked_at !== null) return { kind: 'refused' }
    const { user, token } = found
    if (token.rotated_at !== null) {
      await endFamily(trx, token.family_id)
      const actor = { userId: undefined, requestId: caller.requestId }
      await recordAudit(trx, actor, 'session.replay', user.id, null, { family_id: token.family_id })
      return { kind: 'refused' }
    }
    const foreign = caller.userId !== undefined && caller.userId !== user.id
    if (foreign || token.expired || user.disabled) return { kind: 'refused' }
    await trx('refresh_tokens').where({ id: token.id }).update({ rotated_at: trx.fn.now() })
    return { kind: 'rotated', user, session: await addToken(trx, user.id, token.family_id) }
  })
}

/** Ends the session that a refresh token belongs to, if there is one. */
export function endSession(knex: Knex, refreshToken: string): Promise<void> {
  return knex.transaction(async (trx) => {
    const found = await findLocked(trx, refreshToken)
    if (found !== undefined) await endFamily(trx, found.token.family_id)
  })
}

/** The caller holds the user's row. */
export async function endAllSessions(trx: Knex.Transaction, userId: string): Promise<void> {
  await trx('refresh_tokens')
    .where({ user_id: userId, revoked_at: null })
    .update({ revoked_at: trx.fn.now() })
}

interface StoredToken {
  id: string
  family_id: string
  rotated_at: Date | null
  revoked_at: Date | null
  expired: boolean
}

/** Locks the user first and reads the token then, as it is once nobody else works on it. */
async function findLocked(
  trx: Knex.Transaction,
  refreshToken: string,
): Promise<{ user: User; token: StoredToken } | undefined> {
  const byHash = trx('refresh_tokens').where({ token_hash: hashOf(refreshToken) })
  const user = await User.query(trx).where('id', byHash.clone().select('user_id')).forNoKeyUpdate().first()
  const token: StoredToken | undefined = await byHash.first(
    'id',
    'family_id',
    'rotated_at',
    'revoked_at',
    trx.raw('least(expires_at, family_expires_at) <= now() AS expired'),
  )
  return user === undefined || token === undefined ? undefined : { user, token }
}

async function endFamily(trx: Knex.Transaction, family: string): Promise<void> {
  await trx('refresh_tokens')
    .where({ family_id: family, revoked_at: null })
    .update({ revoked_at: trx.fn.now() })
}

/** Adds a token to a family, which keeps the end that its first token gave it. */
async function addToken(trx: Knex.Transaction, userId: string, family: string): Promise<Session> {
  const refreshToken = randomBytes(32).toString('base64url')
  const { rows } = await trx.raw(
    `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, family_expires_at, expires_at)
     SELECT :id, :userId, :family, :hash, f.ends_at, least(f.ends_at, now() + make_interval(days => :tokenDays))
       FROM (SELECT coalesce(min(family_expires_at), now() + make_interval(days => :familyDays)) AS ends_at
               FROM refresh_tokens WHERE family_id = :family) f
     RETURNING floor(extract(epoch FROM expires_at - now()))::int AS expires_in`,
    {
      id: uuidv7(),
      userId,
      family,
      hash: hashOf(refreshToken),
      tokenDays: TOKEN_DAYS,
      familyDays: FAMILY_DAYS,
    },
  )
  return { family, refreshToken, expiresInS: rows[0].expires_in }
}

function hashOf(refreshToken: string): Buffer {
  return createHash('sha256').update(refreshToken).digest()
}
