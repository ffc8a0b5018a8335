/**
 * Refresh tokens. All that come from one login form a family, and each works once. The one that was not rotated yet is
 * the family's head: it alone can open anything, so it alone is revoked, however long the chain behind it is. Whoever
 * opens, rotates or ends a session holds the row of its user, so that nothing is opened beside an end of all sessions.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { recordAudit } from '../audit/audit.ts'
import { deleteBatch } from '../platform/postgres/batch-delete.ts'
import { User } from './model.ts'

const TOKEN_DAYS = 7
const FAMILY_DAYS = 30
/** Families of one user, so that all can be ended at once; one more ends that which was not used for longest. */
const FAMILIES = 100
/** Rotations of one family a minute; a client needs one in 15. */
const ROTATIONS = 30
/**
 * How long a rotated token is remembered as one that was used. One that comes back later is unknown: it is refused
 * like any other, but the family does not end for it.
 */
const REPLAY_HOURS = 24
/** What one request removes at most, so that none waits for what was left behind by many. */
const REMOVED_AT_ONCE = { families: 10, tokens: 1_000 }

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

/** Opens a family; those of the user that are over are removed, one too many ends. The caller holds the user's row. */
export async function addFamily(trx: Knex.Transaction, userId: string): Promise<Session> {
  await removeOver(trx, userId)
  await endSurplus(trx, userId)
  return addToken(trx, userId, uuidv7())
}

export type Rotated =
  | { kind: 'rotated'; user: User; session: Session }
  | { kind: 'refused' }
  | { kind: 'too_many'; retryAfterS: number }

/**
 * Exchanges a refresh token for the next one of its family. One that comes a second time was copied, by its owner
 * or by somebody else: the whole family ends. `too_many` leaves the token as it is.
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
      const actor = { userId: undefined, requestId: caller.requestId }
      if (await endFamily(trx, token.family_id))
        await recordAudit(trx, actor, 'session.replay', user.id, null, { family_id: token.family_id })
      return { kind: 'refused' }
    }
    const foreign = caller.userId !== undefined && caller.userId !== user.id
    if (foreign || token.expired || user.disabled) return { kind: 'refused' }
    const retryAfterS = await secondsToNextRotation(trx, token.family_id)
    if (retryAfterS > 0) return { kind: 'too_many', retryAfterS }
    await forgetOldTokens(trx, token.family_id)
    await trx('refresh_tokens').where({ id: token.id }).update({ rotated_at: trx.fn.now() })
    return { kind: 'rotated', user, session: await addToken(trx, user.id, token.family_id, token.id) }
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
    .where({ user_id: userId, rotated_at: null, revoked_at: null })
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

/** @returns false when it had ended before */
async function endFamily(trx: Knex.Transaction, family: string): Promise<boolean> {
  const ended = await trx('refresh_tokens')
    .where({ family_id: family, rotated_at: null, revoked_at: null })
    .update({ revoked_at: trx.fn.now() })
  return ended > 0
}

/** Zero when the family may be rotated now: fewer than ROTATIONS lie in the minute that ends now. */
async function secondsToNextRotation(trx: Knex.Transaction, family: string): Promise<number> {
  const { rows } = await trx.raw(
    `SELECT ceil(extract(epoch FROM rotated_at + interval '1 minute' - now()))::int AS wait
       FROM refresh_tokens WHERE family_id = :family AND rotated_at > now() - interval '1 minute'
      ORDER BY rotated_at DESC OFFSET :before LIMIT 1`,
    { family, before: ROTATIONS - 1 },
  )
  return rows[0]?.wait ?? 0
}

async function forgetOldTokens(trx: Knex.Transaction, family: string): Promise<void> {
  await trx.raw(
    `DELETE FROM refresh_tokens WHERE id IN (
       SELECT id FROM refresh_tokens
        WHERE family_id = :family AND rotated_at < now() - make_interval(hours => :hours)
        ORDER BY rotated_at LIMIT :tokens)`,
    { family, hours: REPLAY_HOURS, tokens: REMOVED_AT_ONCE.tokens },
  )
}

/** A family is over when its head is. The head goes last, because the rest of the family is found through it. */
async function removeOver(trx: Knex.Transaction, userId: string): Promise<void> {
  await trx.raw(
    `DELETE FROM refresh_tokens WHERE id IN (
       SELECT token.id
         FROM (SELECT family_id FROM refresh_tokens
                WHERE user_id = :userId AND rotated_at IS NULL
                  AND (revoked_at IS NOT NULL OR family_expires_at <= now())
                LIMIT :families) head
        CROSS JOIN LATERAL (SELECT id FROM refresh_tokens WHERE family_id = head.family_id
                             ORDER BY rotated_at NULLS LAST LIMIT :tokens) token)`,
    { userId, ...REMOVED_AT_ONCE },
  )
}

/**
 * Deletes a batch of the tokens whose family has come to its end: those of users who never logged in again. Each of
 * them is refused already, and goes on to be, as one that nobody knows.
 * @returns how many are gone
 */
export function forgetEndedFamilies(knex: Knex): Promise<number> {
  return deleteBatch(knex, {
    table: 'refresh_tokens',
    where: 'family_expires_at < now()',
    by: 'family_expires_at',
  })
}

/** Leaves room for one more family. */
async function endSurplus(trx: Knex.Transaction, userId: string): Promise<void> {
  const live = { user_id: userId, rotated_at: null, revoked_at: null }
  const surplus = trx('refresh_tokens')
    .where(live)
    .orderBy('created_at', 'desc')
    .offset(FAMILIES - 1)
  await trx('refresh_tokens').whereIn('id', surplus.select('id')).update({ revoked_at: trx.fn.now() })
}

/**
 * Adds a token to a family.
 * @param rotated id of the token that it follows, and takes the end of the family from; none for the first
 */
async function addToken(
  trx: Knex.Transaction,
  userId: string,
  family: string,
  rotated: string | null = null,
): Promise<Session> {
  const refreshToken = randomBytes(32).toString('base64url')
  const { rows } = await trx.raw(
    `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, family_expires_at, expires_at)
     SELECT :id, :userId, :family, :hash, f.ends_at, least(f.ends_at, now() + make_interval(days => :tokenDays))
       FROM (SELECT coalesce((SELECT family_expires_at FROM refresh_tokens WHERE id = :rotated),
                             now() + make_interval(days => :familyDays)) AS ends_at) f
     RETURNING floor(extract(epoch FROM expires_at - now()))::int AS expires_in`,
    {
      id: uuidv7(),
      userId,
      family,
      rotated,
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
