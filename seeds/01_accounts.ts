import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { loadSeedSettings } from '../src/platform/config.ts'
import type { Role } from '../src/users/model.ts'
import { hashPassword } from '../src/users/passwords.ts'

const BUYERS = 10

/** admin@ and operator@spike.test, outside prod buyer1@ to buyer10@ too; accounts that exist keep their password. */
export async function seed(knex: Knex): Promise<void> {
  const { password, withTestData } = loadSeedSettings(process.env)
  const account = async (name: string, role: Role) => ({
    id: uuidv7(),
    email: `${name}@spike.test`,
    password_hash: await hashPassword(password),
    role,
  })
  const rows = [await account('admin', 'admin'), await account('operator', 'operator')]
  const buyers = withTestData ? BUYERS : 0
  for (let n = 1; n <= buyers; n++) rows.push(await account(`buyer${n}`, 'user'))
  await knex('users').insert(rows).onConflict('email').ignore()
}
