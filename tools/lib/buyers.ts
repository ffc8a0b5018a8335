import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { hashPassword } from '../../src/users/passwords.ts'
import { issueToken, MAX_TOKEN_TTL_S, tokenKey } from '../../src/users/tokens.ts'

export interface LoadBuyer {
  user_id: string
  email: string
  access_token: string
}

const ROWS_AT_ONCE = 5_000

/** Makes buyers with ready tokens. They share one random password that nobody knows. */
export async function makeBuyers(knex: Knex, jwtSecret: string, count: number): Promise<LoadBuyer[]> {
  const key = tokenKey(jwtSecret)
  const passwordHash = await hashPassword(uuidv7())
  const buyers: LoadBuyer[] = []
  for (let made = 0; made < count; made += ROWS_AT_ONCE) {
    const rows = Array.from({ length: Math.min(ROWS_AT_ONCE, count - made) }, () => {
      const id = uuidv7()
      return { id, email: `load-${id}@spike.test`, password_hash: passwordHash }
    })
    await knex.batchInsert('users', rows, 1_000)
    for (const { id, email } of rows)
      buyers.push({
        user_id: id,
        email,
        access_token: issueToken(key, { id, role: 'user', token_version: 1 }, 'api', MAX_TOKEN_TTL_S),
      })
  }
  return buyers
}
