import type { KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import { authenticate, type Authenticated } from './accounts.ts'
import { readDeviceToken } from './device-token.ts'
import type { LoginCheck, LoginLimit } from './login-limit.ts'
import type { User } from './model.ts'

export interface Credentials {
  email: string
  password: string
  ip: string
  deviceToken: string | undefined
}

export type LoggedIn = Authenticated | Exclude<LoginCheck, { kind: 'allowed' }>

/**
 * The one way to try a password from outside: counted first, then checked.
 * @param mayEnter refuses accounts whose password is right, without telling
 */
export async function logIn(
  deps: { knex: Knex; key: KeyObject; loginLimit: LoginLimit },
  input: Credentials,
  mayEnter: (user: User) => boolean = () => true,
): Promise<LoggedIn> {
  const device = readDeviceToken(deps.key, input.deviceToken, input.email)
  const { email, ip } = input
  const check = await deps.loginLimit(
    device === undefined ? { by: 'stranger', email, ip } : { by: 'device', email, device },
  )
  if (check.kind !== 'allowed') return check
  const result = await authenticate(deps.knex, input)
  if (result.kind === 'refused') return result
  if (result.kind === 'authenticated' && !mayEnter(result.user)) return { kind: 'refused' }
  await check.giveBack()
  return result
}
