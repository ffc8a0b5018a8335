import { createSecretKey, type KeyObject } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { z } from 'zod'
import { id } from '../contracts/values.ts'
import { ROLES, type Role } from './model.ts'

export const TOKEN_ISSUER = 'flash-sale'
export const TOKEN_ALGORITHM = 'HS256'

/** What a token may be used for; each purpose has an audience of its own, so one can't stand in for the other. */
export type TokenPurpose = 'api' | 'dashboard' | 'device'

/** Short, because a token that was copied works until then; sessions last through refresh tokens. */
export const ACCESS_TOKEN_TTL_S = 900
/** The longest life of a token of an account, which is one of a load test: revocations are kept that long. */
export const MAX_TOKEN_TTL_S = 12 * 3_600

/**
 * Claims of a token after its signature, issuer, audience and expiry were checked. `ver` is the token version that
 * the account had: a later change of role, password or state ends the token.
 */
export const claimsSchema = z.object({ sub: id, role: z.enum(ROLES), ver: z.int(), exp: z.int() })
export type Claims = z.infer<typeof claimsSchema>

/** The secret as a key object: with a string, every check first tries to read it as a public key, 50 times slower. */
export function tokenKey(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret, 'utf8'))
}

export function issueToken(
  key: KeyObject,
  user: { id: string; role: Role; token_version: number },
  purpose: 'api' | 'dashboard',
  ttlS = ACCESS_TOKEN_TTL_S,
): string {
  return signToken(key, { role: user.role, ver: user.token_version }, purpose, user.id, ttlS)
}

export function signToken(
  key: KeyObject,
  payload: object,
  purpose: TokenPurpose,
  subject: string,
  ttlS: number,
): string {
  return jwt.sign(payload, key, {
    algorithm: TOKEN_ALGORITHM,
    subject,
    issuer: TOKEN_ISSUER,
    audience: purpose,
    expiresIn: ttlS,
  })
}

/** Claims of a token that was signed by us for this purpose and has not ended; undefined for any other text. */
export function verifyToken(key: KeyObject, token: string, purpose: TokenPurpose): unknown {
  try {
    return jwt.verify(token, key, { algorithms: [TOKEN_ALGORITHM], issuer: TOKEN_ISSUER, audience: purpose })
  } catch {
    return undefined
  }
}

/** Claims of an access token for the API that has not ended by itself. Ask the revocations too. */
export function readApiToken(key: KeyObject, token: string): Claims | undefined {
  return claimsSchema.safeParse(verifyToken(key, token, 'api')).data
}
