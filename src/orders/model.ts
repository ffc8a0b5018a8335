import type { CLOSE_REASONS } from '../contracts/values.ts'

export const ORDER_STATUSES = ['pending', 'paid', 'closed', 'refunded'] as const
export type OrderStatus = (typeof ORDER_STATUSES)[number]
export type CloseReason = (typeof CLOSE_REASONS)[number]

/** Fields that a list of orders may be sorted by. */
export const ORDER_SORTS = ['created_at', 'amount'] as const
