import type { Ratio } from '../ratio.ts'
import { acceptances } from './acceptances.ts'
import { createOrder } from './create-order.ts'
import { durableOrders } from './durable-orders.ts'
import { growths } from './growth.ts'
import { latencies } from './latency.ts'
import { rejections } from './rejections.ts'

/** In the order in which they are measured. */
export const RATIOS: readonly Ratio[] = [
  rejections,
  ...acceptances,
  ...createOrder,
  ...durableOrders,
  ...growths,
  ...latencies,
]
