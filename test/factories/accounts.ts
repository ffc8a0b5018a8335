import { randomBytes } from 'node:crypto'
import type { Role } from '../../src/users/model.ts'
import { register } from '../../src/users/accounts.ts'
import { issueToken, tokenKey } from '../../src/users/tokens.ts'
import { makeBuyers, type LoadBuyer } from '../../tools/lib/buyers.ts'
import type { World } from '../support/world.ts'

export interface Account {
  id: string
  email: string
  password: string
  token: string
}

/** An account with a token for the API. */
export async function createAccount(
  world: Pick<World, 'knex' | 'config'>,
  role: Role = 'user',
): Promise<Account> {
  const email = `${role}-${randomBytes(6).toString('hex')}@spike.test`
  const password = 'a long enough password'
  const result = await register(world.knex, { email, password })
  if (result.kind !== 'registered') throw new Error(`account not made: ${result.kind}`)
  const { id } = result.user
  if (role !== 'user') await world.knex('users').where({ id }).update({ role })
  const { token_version } = await world.knex('users').where({ id }).first('token_version')
  const token = issueToken(tokenKey(world.config.jwtSecret), { id, role, token_version }, 'api')
  return { id, email, password, token }
}

/** Many buyers with tokens, made in bulk. */
export function createBuyers(world: World, count: number): Promise<LoadBuyer[]> {
  return makeBuyers(world.knex, world.config.jwtSecret, count)
}
