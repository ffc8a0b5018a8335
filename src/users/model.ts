import { Model } from 'objection'

export const ROLES = ['user', 'viewer', 'operator', 'admin'] as const
/** Fields that a list of users may be sorted by. */
export const USER_SORTS = ['email', 'created_at'] as const

export type Role = (typeof ROLES)[number]

/** Row of `users`. Queries name their knex or transaction; nothing is bound globally. */
export class User extends Model {
  static override get tableName(): string {
    return 'users'
  }
  declare id: string
  declare email: string
  declare password_hash: string
  declare role: Role
  declare disabled: boolean
  /** Raised by a trigger when role, password or state change; tokens carry it. */
  declare token_version: number
  declare created_at: Date
  declare updated_at: Date
}

/** What the API tells of a user to himself. */
export function presentUser(user: User): { id: string; email: string; role: Role } {
  return { id: user.id, email: user.email, role: user.role }
}

/** What the API tells of a user to admins. */
export function presentAccount(user: User) {
  return {
    ...presentUser(user),
    disabled: user.disabled,
    created_at: user.created_at.toISOString(),
    updated_at: user.updated_at.toISOString(),
  }
}
