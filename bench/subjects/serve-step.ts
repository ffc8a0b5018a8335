/** One step by itself, put together as the workers process does it, and nothing else beside it. */
import type { Knex } from 'knex'
import { POOL_MAX } from '../../src/contracts/pools.ts'
import type { JobDefinition } from '../../src/platform/bullmq/job.ts'
import { startStepWorker, type JobHandler } from '../../src/platform/bullmq/worker.ts'
import { loadConfig } from '../../src/platform/config.ts'
import { createLogger, type Logger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { isTransient } from '../../src/platform/postgres/transaction.ts'
import { createRedis, createWorkerRedis } from '../../src/platform/redis/client.ts'
import { loadScripts, type Scripts } from '../../src/platform/redis/define-script.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'

interface Stores {
  knex: Knex
  scripts: Scripts<typeof spikeScripts>
  log: Logger
}

/** Works on the step's jobs until the process that started this one is gone. */
export async function serveStep<Step extends string, Payload>(
  definition: JobDefinition<Step, Payload>,
  handlerOf: (stores: Stores) => JobHandler<Payload>,
): Promise<void> {
  const config = loadConfig(process.env)
  const log = createLogger('workers', 'error')
  const knex = createPostgres(
    { url: config.databaseUrl, applicationName: 'spike-bench-step', poolMax: POOL_MAX.workers },
    log,
  )
  const scripts = loadScripts(createRedis(config.redisUrl, 'spike-bench-step', log), spikeScripts)
  const worker = startStepWorker({
    definition,
    handler: handlerOf({ knex, scripts, log }),
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
}
