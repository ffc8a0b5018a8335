import type { Knex } from 'knex'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { User } from './model.ts'
import { hashPassword, inHashingTurn, matchesPassword } from './passwords.ts'
import { addFamily, endAllSessions, type Session } from './sessions.ts'

export type PasswordChanged =
  | { kind: 'changed'; user: User; session: Session }
  | { kind: 'refused' }
  | { kind: 'outdated' }
  | { kind: 'overloaded' }

/**
 * Sets a new password, ends all sessions and opens one for whoever has changed it. `outdated`: the account is gone
 * or has changed since the token was issued.
 */
export async function changePassword(
  knex: Knex,
  token: { sub: string; ver: number },
  input: { current: string; next: string },
  requestId: string,
): Promise<PasswordChanged> {
  const user = await User.query(knex).findOne({ id: token.sub, token_version: token.ver, disabled: false })
  if (user === undefined) return { kind: 'outdated' }
  const turn = await inHashingTurn(async () =>
    (await matchesPassword(user.password_hash, input.current)) ? hashPassword(input.next) : undefined,
  )
  if (turn.kind === 'overloaded') return turn
  if (turn.result === undefined) return { kind: 'refused' }
  return store(knex, user, turn.result, { userId: user.id, requestId })
}

/** Only over the version that was checked: of two changes at once, the second knew the old password only. */
function store(knex: Knex, user: User, passwordHash: string, actor: Actor): Promise<PasswordChanged> {
  const { id, token_version } = user
  return knex.transaction(async (trx): Promise<PasswordChanged> => {
    const changed = await User.query(trx)
      .where({ id, token_version })
      .patch({ password_hash: passwordHash, updated_at: trx.fn.now() as never })
      .returning('*')
      .first()
    if (changed === undefined) return { kind: 'outdated' }
    await endAllSessions(trx, id)
    await recordAudit(trx, actor, 'user.password', id, null, null)
    return { kind: 'changed', user: changed, session: await addFamily(trx, id) }
  })
}
