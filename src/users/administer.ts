/** What admins do with the accounts of others. */
import type { Knex } from 'knex'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { User, type Role, type USER_SORTS } from './model.ts'
import { endAllSessions } from './sessions.ts'

export interface UserPage {
  page: number
  pageSize: number
  sort: (typeof USER_SORTS)[number]
  direction: 'asc' | 'desc'
  /** Part of the e-mail, in any case. */
  q: string | undefined
  role: Role | undefined
  disabled: boolean | undefined
}

/** One page of accounts. */
export async function listUsers(
  knex: Knex,
  { page, pageSize, sort, direction, q, role, disabled }: UserPage,
): Promise<{ items: User[]; total: number }> {
  const query = User.query(knex)
  if (q !== undefined) query.where('email', 'like', `%${q.toLowerCase().replaceAll(/[\\%_]/g, '\\$&')}%`)
  if (role !== undefined) query.where({ role })
  if (disabled !== undefined) query.where({ disabled })
  const { results, total } = await query
    .orderBy([{ column: sort, order: direction }, { column: 'id' }])
    .page(page - 1, pageSize)
  return { items: results, total }
}

export type UserChanged = { kind: 'done'; user: User } | { kind: 'not_found' } | { kind: 'last_admin' }

/**
 * Changes role and state of an account, and ends its sessions. All admins are locked, in the order of their ids, so
 * that two who demote each other at once do not both succeed.
 */
export function changeUser(
  knex: Knex,
  id: string,
  change: { role?: Role | undefined; disabled?: boolean | undefined },
  actor: Actor,
): Promise<UserChanged> {
  return knex.transaction(async (trx): Promise<UserChanged> => {
    const locked = await User.query(trx)
      .where({ id })
      .orWhere({ role: 'admin', disabled: false })
      .orderBy('id')
      .forNoKeyUpdate()
    const user = locked.find((row) => row.id === id)
    if (user === undefined) return { kind: 'not_found' }
    const before = { role: user.role, disabled: user.disabled }
    const after = { role: change.role ?? user.role, disabled: change.disabled ?? user.disabled }
    if (before.role === after.role && before.disabled === after.disabled) return { kind: 'done', user }
    const othersRemain = locked.some((row) => row.id !== id)
    if (isActiveAdmin(before) && !isActiveAdmin(after) && !othersRemain) return { kind: 'last_admin' }
    const changed = await User.query(trx)
      .patch({ ...after, updated_at: trx.fn.now() as never })
      .findById(id)
      .returning('*')
      .first()
    if (changed === undefined) throw new Error(`user ${id} vanished under its lock`)
    await endAllSessions(trx, id)
    await recordAudit(trx, actor, 'user.patch', id, before, after)
    return { kind: 'done', user: changed }
  })
}

function isActiveAdmin(user: { role: Role; disabled: boolean }): boolean {
  return user.role === 'admin' && !user.disabled
}
