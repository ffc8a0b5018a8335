/** Reference: a BullMQ worker on the queue of the create-order step that does nothing with its jobs. */
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'

const { QUEUE_REDIS_URL = process.env.REDIS_URL ?? '', NAMESPACE = '', CONCURRENCY, QUEUE = '' } = process.env

const connection = new Redis(QUEUE_REDIS_URL, { maxRetriesPerRequest: null })
const worker = new Worker(QUEUE, async () => undefined, {
  connection,
  prefix: `{${NAMESPACE}:${QUEUE}}`,
  concurrency: Number(CONCURRENCY),
})
worker.on('error', (error) => process.stderr.write(`${error.message}\n`))
await worker.waitUntilReady()
process.send?.('ready')
process.on('disconnect', () => process.exit(0))
