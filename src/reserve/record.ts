/**
 * The record of one rid in the `states` hash, written by the scripts as fields joined with `|`:
 * `state|quantity|user|reserved_ms|log_id|order_id|expires_ms|reason`; fields that do not apply are empty.
 */
import { z } from 'zod'
import { RELEASE_REASONS, type ReleaseReason } from '../contracts/values.ts'

/**
 * - `held`: taken, the broker is not known to have it; - `queued`: taken, and durable in the broker;
 * - `confirmed`: PostgreSQL has the order; - `paid`: and its money; - `released`: given back, by this rid, once
 */
export const UNIT_STATES = ['held', 'queued', 'confirmed', 'paid', 'released'] as const
export type UnitState = (typeof UNIT_STATES)[number]

export interface UnitRecord {
  state: UnitState
  quantity: number
  userId: string
  reservedAtMs: number
  orderId: string | undefined
  expiresAtMs: number | undefined
  reason: ReleaseReason | undefined
}

const optional = <T extends z.ZodType>(type: T) =>
  z.preprocess((value) => (value === '' ? undefined : value), type.optional())

const fields = z.tuple([
  z.enum(UNIT_STATES),
  z.coerce.number().int(),
  z.string(),
  z.coerce.number().int(),
  z.string(),
  optional(z.string()),
  optional(z.coerce.number().int()),
  optional(z.enum(RELEASE_REASONS)),
])

/** A record without a log entry, as the scripts would have written it. */
export function encodeRecord(record: UnitRecord): string {
  const { state, quantity, userId, reservedAtMs, orderId = '', expiresAtMs = '', reason = '' } = record
  return [state, quantity, userId, reservedAtMs, '', orderId, expiresAtMs, reason].join('|')
}

/** @throws when the record was not written by our scripts */
export function decodeRecord(text: string): UnitRecord {
  const [state, quantity, userId, reservedAtMs, , orderId, expiresAtMs, reason] = fields.parse(
    text.split('|'),
  )
  return { state, quantity, userId, reservedAtMs, orderId, expiresAtMs, reason }
}
