import type { Knex } from 'knex'
import { UniqueViolationError } from 'objection'
import { v7 as uuidv7 } from 'uuid'
import { User, type Role } from './model.ts'
import { hashPassword, inHashingTurn, matchesPassword } from './passwords.ts'
import { addFamily, type Session } from './sessions.ts'

export type Registered =
  { kind: 'registered'; user: User; session: Session } | { kind: 'email_taken' } | { kind: 'overloaded' }

/**
 * Makes an account with the role `user` and its first session in one, so that nothing changes the account in between.
 * @param input email in any case; password in plain text
 */
export async function register(knex: Knex, input: { email: string; password: string }): Promise<Registered> {
  const turn = await inHashingTurn(() => hashPassword(input.password))
  if (turn.kind === 'overloaded') return turn
  const row = { id: uuidv7(), email: input.email.toLowerCase(), password_hash: turn.result }
  try {
    return await knex.transaction(async (trx): Promise<Registered> => {
      const user = await User.query(trx).insertAndFetch(row)
      return { kind: 'registered', user, session: await addFamily(trx, user.id) }
    })
  } catch (error) {
    if (error instanceof UniqueViolationError) return { kind: 'email_taken' }
    throw error
  }
}

export type Authenticated =
  { kind: 'authenticated'; user: User } | { kind: 'refused' } | { kind: 'overloaded' }

/** Checks e-mail and password. Unknown, disabled and wrong take the same time and give the same answer. */
export async function authenticate(
  knex: Knex,
  input: { email: string; password: string },
): Promise<Authenticated> {
  const user = await User.query(knex).findOne({ email: input.email.toLowerCase() })
  const turn = await inHashingTurn(() => matchesPassword(user?.password_hash, input.password))
  if (turn.kind === 'overloaded') return turn
  if (user === undefined || user.disabled || !turn.result) return { kind: 'refused' }
  return { kind: 'authenticated', user }
}

export type Standing = { kind: 'current'; role: Role } | { kind: 'outdated'; role: Role } | { kind: 'ended' }

/**
 * How the account behind a token stands now, whatever the token says: `ended` when it is disabled or gone,
 * `outdated` when the token is older than the last change of its role or password.
 */
export async function standingOf(knex: Knex, token: { sub: string; ver: number }): Promise<Standing> {
  const user = await User.query(knex).findById(token.sub).select('role', 'disabled', 'token_version')
  if (user === undefined || user.disabled) return { kind: 'ended' }
  return { kind: user.token_version === token.ver ? 'current' : 'outdated', role: user.role }
}
