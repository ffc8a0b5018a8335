/** Tokens as an attacker makes them: any claims, any header, any signature. */
import { createHmac } from 'node:crypto'

export type Json = Record<string, unknown>

export const encodePart = (part: Json): string => Buffer.from(JSON.stringify(part)).toString('base64url')

/** A token that is signed with this secret, right or wrong. */
export function forge(secret: string | Buffer, payload: Json, header: Json = {}, hash = 'sha256'): string {
  const head = `${encodePart({ alg: 'HS256', typ: 'JWT', ...header })}.${encodePart(payload)}`
  return `${head}.${createHmac(hash, secret).update(head).digest('base64url')}`
}

/** The claims of a token that is good for an hour. */
export function goodClaims(userId: string, role = 'user', version = 1): Json {
  const now = Math.floor(Date.now() / 1_000)
  return { role, ver: version, sub: userId, iss: 'flash-sale', aud: 'api', iat: now, exp: now + 3_600 }
}
