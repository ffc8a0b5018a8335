import { hash, verify } from '@node-rs/argon2'
import type { Knex } from 'knex'
import { UniqueViolationError } from 'objection'
import { v7 as uuidv7 } from 'uuid'
import { User, type Role } from './model.ts'

/** OWASP's parameters for argon2id. */
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

export function hashPassword(password: string): Promise<string> {
  return hash(password, ARGON2)
}

export type Registered = { kind: 'registered'; user: User } | { kind: 'email_taken' }

/** Makes an account with the role `user`. @param input email in any case; password in plain text */
export async function register(knex: Knex, input: { email: string; password: string }): Promise<Registered> {
  const row = {
    id: uuidv7(),
    email: input.email.toLowerCase(),
    password_hash: await hashPassword(input.password),
  }
  try {
    return { kind: 'registered', user: await User.query(knex).insertAndFetch(row) }
  } catch (error) {
    if (error instanceof UniqueViolationError) return { kind: 'email_taken' }
    throw error
  }
}

export type Authenticated = { kind: 'authenticated'; user: User } | { kind: 'refused' }

let decoyHash: Promise<string> | undefined

/**
 * Checks e-mail and password. Unknown, disabled and wrong take the same time and give the same answer.
 */
export async function authenticate(
  knex: Knex,
  input: { email: string; password: string },
): Promise<Authenticated> {
  decoyHash ??= hashPassword(uuidv7())
  const user = await User.query(knex).findOne({ email: input.email.toLowerCase() })
  const matches = await verify(user?.password_hash ?? (await decoyHash), input.password)
  if (user === undefined || user.disabled || !matches) return { kind: 'refused' }
  return { kind: 'authenticated', user }
}

/** The role that a user has now, whatever an older token says; undefined for unknown and disabled users. */
export async function currentRole(knex: Knex, userId: string): Promise<Role | undefined> {
  const user = await User.query(knex).findById(userId).select('role', 'disabled')
  return user === undefined || user.disabled ? undefined : user.role
}
