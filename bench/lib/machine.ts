/** On what it was measured. */
import { cpus, loadavg, totalmem } from 'node:os'
import { createLogger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { connectOnce } from '../../src/platform/rabbitmq/connection.ts'
import { createRedis } from '../../src/platform/redis/client.ts'
import { infoField } from '../../src/platform/redis/info.ts'
import { onlyServer } from './arena.ts'

export interface Machine {
  cores: number
  cpu: string
  memoryGb: number
  /** Of the minute before the first round; much above 0, somebody else was measured too. */
  loadBefore: number
  node: string
  postgres: string
  redis: string
  rabbitmq: string
}

export async function describeMachine(env: NodeJS.ProcessEnv): Promise<Machine> {
  const { DATABASE_URL = '', REDIS_URL = '', AMQP_URL = '' } = env
  const log = createLogger('bench', 'silent')
  const knex = createPostgres({ url: DATABASE_URL, applicationName: 'spike-bench', poolMax: 1 }, log)
  const redis = createRedis(REDIS_URL, 'spike-bench', log)
  const broker = await connectOnce(AMQP_URL, 'spike-bench')
  try {
    const { rows } = await knex.raw(`SHOW server_version`)
    return {
      cores: cpus().length,
      cpu: cpus()[0]?.model ?? 'unknown',
      memoryGb: Math.round(totalmem() / 2 ** 30),
      loadBefore: Number(loadavg()[0]?.toFixed(2)),
      node: process.version,
      postgres: rows[0].server_version,
      redis: (await infoField(onlyServer(redis), 'server', 'redis_version')) ?? 'unknown',
      rabbitmq: broker.connection.serverProperties.version,
    }
  } finally {
    await broker.close()
    redis.disconnect()
    await knex.destroy()
  }
}

export function machineLine(machine: Machine): string {
  const { cores, cpu, memoryGb, node, postgres, redis, rabbitmq, loadBefore } = machine
  return (
    `${cores} cores (${cpu}), ${memoryGb} GB, Node ${node}, PostgreSQL ${postgres}, Redis ${redis}, ` +
    `RabbitMQ ${rabbitmq}; load before: ${loadBefore}`
  )
}
