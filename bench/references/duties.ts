/**
 * What the contract asks of an accepted purchase beside the script and the publish, by the product's own pieces: the buyer's
 * token, a rid that proves where it was made, a signed message, the mark of the confirm, the headers of an answer.
 */
import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { Context } from 'koa'
import { MessageSigner } from '../../src/contracts/messages/signature.ts'
import { SAFE_HEADERS } from '../../src/http/middleware/safe-headers.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { loadScripts } from '../../src/platform/redis/define-script.ts'
import { QueuedMarks } from '../../src/reserve/queued-marks.ts'
import { newRid, ridKey } from '../../src/reserve/rid.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'
import { readApiToken, tokenKey } from '../../src/users/tokens.ts'

export interface Duties {
  userOf(ctx: Context): string
  ridOf(eventId: string, userId: string): string
  headersOf(message: { routingKey: string; body: Buffer }): Record<string, string> | undefined
  confirmed(eventId: string, rid: string): void
  /** Of every answer. */
  headers: Record<string, string>
}

/** Believes whoever says who he is, and does nothing that can be left out. */
export const NO_DUTIES: Duties = {
  userOf: (ctx) => ctx.get('X-User'),
  ridOf: () => randomUUID(),
  headersOf: () => undefined,
  confirmed: () => undefined,
  headers: {},
}

export function allDuties(redis: Redis, secret: string): Duties {
  const key = tokenKey(secret)
  const proofs = ridKey(secret)
  const signer = new MessageSigner(secret)
  const marks = new QueuedMarks(loadScripts(redis, spikeScripts), createLogger('bench', 'warn'))
  return {
    userOf: (ctx) => readApiToken(key, ctx.get('Authorization').slice('Bearer '.length))?.sub ?? '',
    ridOf: (eventId, userId) => newRid(eventId, userId, proofs),
    headersOf: (message) => signer.headersOf(message),
    confirmed: (eventId, rid) => marks.add(eventId, rid),
    headers: { ...Object.fromEntries(SAFE_HEADERS), 'Cache-Control': 'no-store' },
  }
}
