import { ConfigError, loadConfig, type Config } from '../../src/platform/config.ts'
import { checkBroker } from './broker.ts'
import { checkBullmq } from './bullmq.ts'
import { finding, START_WORKERS, untold, type Finding } from './finding.ts'
import { checkProcess } from './http.ts'
import { checkMachine } from './machine.ts'
import { checkPostgres } from './postgres.ts'
import { checkRedis } from './redis.ts'

/** Checks everything that the product needs, and changes nothing. @param env as the processes get it */
export async function examine(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const machine = await checkMachine()
  const config = readConfig(env)
  if (Array.isArray(config)) return [...machine, ...config]
  const rounds = await Promise.all([
    checkPostgres(config),
    ...redisChecks(config),
    checkBullmq(config),
    checkBroker(config),
    ...processChecks(config),
  ])
  const settings = finding('settings', true, `complete for ${config.env}`, '')
  return [...machine, settings, ...rounds.flat()]
}

/** One Redis may serve for both: then it is checked once, as the one that has the stock. */
function redisChecks({ redisUrl, queueRedisUrl }: Config): Promise<Finding[]>[] {
  const stock = checkRedis('REDIS_URL', redisUrl, { durable: true })
  return redisUrl === queueRedisUrl
    ? [stock]
    : [stock, checkRedis('QUEUE_REDIS_URL', queueRedisUrl, { durable: false })]
}

function processChecks({ host, port, dashboardPort, workersPort }: Config): Promise<Finding[]>[] {
  return [
    checkProcess('API', { host, port, path: '/readyz' }, 'npm run build && npm start'),
    workersPort === 0
      ? Promise.resolve([untold('workers', 'WORKERS_PORT is 0, so they do not listen')])
      : checkProcess('workers', { host, port: workersPort, path: '/readyz' }, START_WORKERS),
    checkProcess(
      'dashboard',
      { host, port: dashboardPort, path: '/readyz' },
      'npm run build && npm run dashboard',
    ),
  ]
}

function readConfig(env: NodeJS.ProcessEnv): Config | Finding[] {
  try {
    return loadConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const mend = 'cp .env.example .env and fill it in, or start everything with npm run stack'
    return error.problems.map((problem) => finding('setting', false, problem, mend))
  }
}
