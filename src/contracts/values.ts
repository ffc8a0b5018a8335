import { z } from 'zod'

/** Largest number of units that one reservation may ask for, whatever the event allows. */
export const MAX_QUANTITY = 100

export const id = z.guid().toLowerCase()
export const quantity = z.int().min(1).max(MAX_QUANTITY)
/** Minor units of a currency; a price times a quantity stays far below 2^53. */
export const money = z.int().min(0).max(1_000_000_000_000)
/** Minor units of a whole order: 20 products, 100 units of each. */
export const amount = z.int().min(0).max(2_000_000_000_000_000)
/** Milliseconds since 1970. */
export const timestampMs = z.int().min(0)

/** Why PostgreSQL refused a reservation; the buyer reads it. `expired`: it was not received in time. */
export const VOID_REASONS = [
  'sold_out',
  'duplicate',
  'lapse_limit',
  'unknown_event',
  'unknown_buyer',
  'expired',
] as const
export type VoidReason = (typeof VOID_REASONS)[number]

/** Why a unit goes back: its reservation was void, or its order was closed. */
export const CLOSE_REASONS = ['lapsed', 'cancelled'] as const
export const RELEASE_REASONS = [...VOID_REASONS, ...CLOSE_REASONS] as const
export type ReleaseReason = (typeof RELEASE_REASONS)[number]
