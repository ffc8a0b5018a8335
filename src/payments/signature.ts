import { createHmac, timingSafeEqual } from 'node:crypto'

/** Header `t=<ms since 1970>,v1=<hex HMAC-SHA256 of "t.body">`, as the provider sends it with every callback. */
export const SIGNATURE_HEADER = 'x-payment-signature'

/** A callback that is older than this is a replay. */
const TOLERANCE_MS = 5 * 60_000

export function signCallback(secret: string, body: string, nowMs: number): string {
  return `t=${nowMs},v1=${digest(secret, body, String(nowMs)).toString('hex')}`
}

/** True when the body was signed with the secret, not long ago. */
export function isSigned(secret: string, body: string, header: string, nowMs: number): boolean {
  const match = /^t=(\d{1,15}),v1=([0-9a-f]{64})$/.exec(header)
  const [, time, hex] = match ?? []
  if (time === undefined || hex === undefined) return false
  const fresh = Math.abs(nowMs - Number(time)) <= TOLERANCE_MS
  return timingSafeEqual(digest(secret, body, time), Buffer.from(hex, 'hex')) && fresh
}

function digest(secret: string, body: string, time: string): Buffer {
  return createHmac('sha256', secret).update(`${time}.${body}`).digest()
}
