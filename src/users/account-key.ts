import { createHash } from 'node:crypto'

/** Names an account by its e-mail, known or not, in text of fixed length and without what somebody typed. */
export function accountKey(email: string): string {
  return createHash('sha256').update(email.toLowerCase()).digest('base64url')
}
