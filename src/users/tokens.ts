import { createSecretKey, type KeyObject } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { z } from 'zod'
import { id } from '../contracts/values.ts'
import { ROLES, type Role } from './model.ts'

export const TOKEN_ISSUER = 'flash-sale'
export const TOKEN_ALGORITHM = 'HS256'

/** What a token may be used for; each purpose has an audience of its own, so one can't stand in for the other. */
export type TokenPurpose = 'api' | 'dashboard'

export const ACCESS_TOKEN_TTL_S = 3_600

/** Claims of a token after its signature, issuer, audience and expiry were checked. */
export const claimsSchema = z.object({ sub: id, role: z.enum(ROLES), exp: z.number() })
export type Claims = z.infer<typeof claimsSchema>

/** The secret as a key object: with a string, every check first tries to read it as a public key, 50 times slower. */
export function tokenKey(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret, 'utf8'))
}

export function issueToken(
  key: KeyObject,
  user: { id: string; role: Role },
  purpose: TokenPurpose,
  ttlS = ACCESS_TOKEN_TTL_S,
): string {
  return jwt.sign({ role: user.role }, key, {
    algorithm: TOKEN_ALGORITHM,
    subject: user.id,
    issuer: TOKEN_ISSUER,
    audience: purpose,
    expiresIn: ttlS,
  })
}
