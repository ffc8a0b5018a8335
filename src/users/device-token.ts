/**
 * What a device keeps from a login: with it, the next login from this device is not held up by what others have
 * tried on the account.
 */
import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import { accountKey } from './account-key.ts'
import { signToken, verifyToken } from './tokens.ts'

export const DEVICE_TOKEN_TTL_S = 180 * 86_400

const claims = z.object({ sub: z.string(), jti: z.uuid(), exp: z.int() })

/** @param device names the device among those of the account */
export function issueDeviceToken(key: KeyObject, email: string, device: string): string {
  return signToken(key, { jti: device }, 'device', accountKey(email), DEVICE_TOKEN_TTL_S)
}

/** The device that a token names, if it is good for the account with this e-mail. */
export function readDeviceToken(
  key: KeyObject,
  token: string | undefined,
  email: string,
): string | undefined {
  if (token === undefined) return undefined
  const read = claims.safeParse(verifyToken(key, token, 'device'))
  return read.success && read.data.sub === accountKey(email) ? read.data.jti : undefined
}
