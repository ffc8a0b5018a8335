/** Subject: the create-order step by itself. */
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { createOrderHandler } from '../../workers/create-order/handler.ts'
import { serveStep } from './serve-step.ts'

await serveStep(createOrderJob, createOrderHandler)
