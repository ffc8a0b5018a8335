/** Subject: the close-order step by itself. */
import { closeOrderJob } from '../../src/contracts/jobs/close-order.ts'
import { closeOrderHandler } from '../../workers/close-order/handler.ts'
import { serveStep } from './serve-step.ts'

await serveStep(closeOrderJob, closeOrderHandler)
