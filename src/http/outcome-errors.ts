import type { Outcome } from '../reserve/outcome-counts.ts'
import type { ErrorName } from './errors.ts'

/** What a purchase is refused with, by the word of the script. */
export const ERROR_OF_OUTCOME = {
  existing: 'ALREADY_PURCHASED',
  not_started: 'SALE_NOT_STARTED',
  quantity_limit: 'VALIDATION_FAILED',
  paused: 'SALE_PAUSED',
  ended: 'SALE_ENDED',
  lapse_limit: 'LAPSE_LIMIT',
  all_held: 'ALL_HELD',
  sold_out: 'SOLD_OUT',
} as const satisfies Record<Exclude<Outcome, 'accepted'>, ErrorName>
