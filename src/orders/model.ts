export const ORDER_STATUSES = ['pending', 'paid', 'closed', 'refunded'] as const
export type OrderStatus = (typeof ORDER_STATUSES)[number]

/** Fields that a list of orders may be sorted by. */
export const ORDER_SORTS = ['created_at', 'amount'] as const
