/** Subject: the create-order step by itself, put together as the workers process does it, and nothing else beside it. */
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { POOL_MAX } from '../../src/contracts/pools.ts'
import { startStepWorker } from '../../src/platform/bullmq/worker.ts'
import { loadConfig } from '../../src/platform/config.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { isTransient } from '../../src/platform/postgres/transaction.ts'
import { createRedis, createWorkerRedis } from '../../src/platform/redis/client.ts'
import { loadScripts } from '../../src/platform/redis/define-script.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'
import { createOrderHandler } from '../../workers/create-order/handler.ts'

const config = loadConfig(process.env)
const log = createLogger('workers', 'error')
const knex = createPostgres(
  { url: config.databaseUrl, applicationName: 'spike-bench-step', poolMax: POOL_MAX.workers },
  log,
)
const scripts = loadScripts(createRedis(config.redisUrl, 'spike-bench-step', log), spikeScripts)
const worker = startStepWorker({
  definition: createOrderJob,
  handler: createOrderHandler({ knex, scripts, log }),
  exhausted: async ({ jobId, error }) => void process.stderr.write(`${jobId}: ${error}\n`),
  isOutage: isTransient,
  concurrency: Number(process.env.CONCURRENCY),
  namespace: config.namespace,
  connection: createWorkerRedis(config.queueRedisUrl, 'spike-bench-step', log),
  log,
})
await worker.waitUntilReady()
process.send?.('ready')
process.on('disconnect', () => process.exit(0))
