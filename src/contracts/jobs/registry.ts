import { closeOrderJob } from './close-order.ts'
import { createOrderJob } from './create-order.ts'
import { deadLetterJob } from './dead-letter.ts'
import { releaseStockJob } from './release-stock.ts'

/** Every queue of BullMQ in the order of the flow; the dashboard shows them in this order. */
export const JOBS = [createOrderJob, closeOrderJob, releaseStockJob, deadLetterJob] as const
