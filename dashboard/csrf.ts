/**
 * Every write carries a word that only pages of this dashboard can read: forms in a hidden field, scripts in a header.
 * It is bound to the session, so that one that was planted from outside fits no other.
 */
import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { deriveKey } from '../src/platform/derived-key.ts'
import type { DashboardContext } from './context.ts'

export const CSRF_FIELD = 'csrf_token'
/** The names that the script of Bull Board's page looks for and answers with. */
export const CSRF_COOKIE = 'XSRF-TOKEN'
const CSRF_HEADER = 'X-XSRF-TOKEN'

export function csrfKey(secret: string): KeyObject {
  return deriveKey(secret, 'spike dashboard csrf')
}

export function csrfToken(key: KeyObject, sessionId: string): string {
  return createHmac('sha256', key).update(sessionId).digest('base64url')
}

/** Whether a write comes from a page of the session that it is sent with. */
export function hasCsrfToken(ctx: DashboardContext): boolean {
  const body = ctx.request.body as Record<string, unknown> | undefined
  const given = ctx.get(CSRF_HEADER) || body?.[CSRF_FIELD]
  if (typeof given !== 'string') return false
  const [a, b] = [Buffer.from(given), Buffer.from(ctx.state.session.csrf)]
  return a.length === b.length && timingSafeEqual(a, b)
}
