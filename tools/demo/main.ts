/** `npm run demo`: runs a flash sale on real services and real processes, and proves it with the invariants. */
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadConfig, loadEnvFile, loadSeedSettings, type Config } from '../../src/platform/config.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { createQueueRedis, createRedis } from '../../src/platform/redis/client.ts'
import { loadScripts } from '../../src/platform/redis/define-script.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'
import { judge, readTold } from '../check/invariants.ts'
import { openQueueReader } from '../check/queues.ts'
import { createApiClient } from '../lib/api-client.ts'
import { stackBanner } from '../lib/banner.ts'
import { makeBuyers } from '../lib/buyers.ts'
import { runCommand, type Cleanup } from '../lib/command.ts'
import { startProcesses } from '../lib/processes.ts'
import { announceStack } from '../lib/running-stack.ts'
import { build, freePort, migrateAndSeed, provideEnvironment } from '../lib/set-up.ts'
import { newCrowdLog, runCrowd } from './crowd.ts'
import { DEMO_HELP, demoOptions, type DemoOptions } from './options.ts'
import { showProgress } from './progress.ts'
import { invariantTable, leaked, readTiming, resultTable, type DemoResult } from './report.ts'
import { endDemoSale, openDemoSale, paymentWindowS, settle } from './sale.ts'

const LOGS = join(fileURLToPath(new URL('../../.data', import.meta.url)), 'logs')
const RUSH_SOCKETS = 100
const FOLLOW_UP_SOCKETS = 200
const SETTLE_WITHIN_MS = 60_000
const say = (line: string) => process.stdout.write(`${line}\n`)

await runCommand(async (cleanup, signal) => {
  if (process.argv.includes('--help')) {
    say(DEMO_HELP)
    return 0
  }
  const options = demoOptions(process.argv.slice(2))
  loadEnvFile()
  const [{ env, services }] = await Promise.all([provideEnvironment(say, signal), build()])
  cleanup.add(() => services.stop())
  // All buyers come from one address here; the limits are tested on their own.
  env.RATE_LIMIT = 'off'
  env.PORT ??= String(await freePort())
  env.DASHBOARD_PORT ??= String(await freePort())
  env.WORKERS_PORT ??= String(await freePort())
  const config = loadConfig(env)
  await migrateAndSeed(env)
  const processes = await startProcesses(env, LOGS, cleanup)
  say(`api, workers and dashboard run (pids ${processes.map((p) => p.pid).join(', ')})`)

  const holds = await runSale(config, options, loadSeedSettings(env).password, cleanup)
  if (!options.keep) return holds ? 0 : 1
  cleanup.add(announceStack(env))
  say(await stackBanner({ config, env, services, logs: LOGS }))
  await once(signal, 'abort')
  return holds ? 0 : 1
})

/** @returns whether every invariant holds */
async function runSale(
  config: Config,
  options: DemoOptions,
  password: string,
  cleanup: Cleanup,
): Promise<boolean> {
  const { sources, queues, rush, followUp } = await connectAll(config, cleanup)
  const { knex, redis } = sources
  const windowS = paymentWindowS(options)
  const buyers = await makeBuyers(knex, config.jwtSecret, options.buyers)
  const sale = await openDemoSale(followUp, { units: options.units, windowS, password })
  say(
    `\n${options.buyers} buyers, ${options.units} units, ${windowS} s to pay, ` +
      `${Math.round(options.payShare * 100)} % pay, seed ${options.seed}\n`,
  )

  const crowd = newCrowdLog()
  const opened = Date.now()
  const endProgress = showProgress(crowd, async () => Number(await redis.get(spikeKeys(sale.eventId).stock)))
  await runCrowd(
    {
      rush,
      followUp,
      eventId: sale.eventId,
      payShare: options.payShare,
      seed: options.seed,
      patienceMs: windowS * 2_500,
    },
    buyers,
    crowd,
  )
  endProgress()
  const saleMs = Date.now() - opened
  const ended = Date.now()
  await endDemoSale(followUp, sale)
  const { facts, queueFacts } = await settle(sources, queues, sale.eventId, SETTLE_WITHIN_MS)
  const settleMs = Date.now() - ended

  const inventory = await knex('inventory').where('product_id', sale.productId).first('stock')
  const result: DemoResult = {
    buyers: options.buyers,
    granted: options.units,
    crowd,
    facts,
    timing: await readTiming(knex, sale.eventId, options.units),
    returned: inventory.stock,
    settleMs,
    saleMs,
  }
  const invariants = judge(facts, await readTold(knex, sale.eventId, crowd), queueFacts)
  const surprises = [...new Set(crowd.surprises)]
  say(`\nResult\n${resultTable(result)}`)
  say(`\nInvariants, read from PostgreSQL and Redis\n${invariantTable(invariants)}\n`)
  for (const surprise of surprises.slice(0, 10)) say(`unexpected answer to a buyer: ${surprise}`)
  const holds = invariants.every(({ ok }) => ok) && leaked(facts, result) === 0 && surprises.length === 0
  say(holds ? 'Every invariant holds.' : `NOT PROVEN. The logs are in ${LOGS}`)
  return holds
}

/** The demo's own eyes on the stores, and its buyers' way to the API. */
async function connectAll(config: Config, cleanup: Cleanup) {
  const log = createLogger('demo', 'silent')
  const knex = createPostgres({ url: config.databaseUrl, applicationName: 'spike-demo', poolMax: 4 }, log)
  cleanup.add(() => knex.destroy())
  const redis = createRedis(config.redisUrl, 'spike-demo', log)
  const queueRedis = createQueueRedis(config.queueRedisUrl, 'spike-demo', log)
  cleanup.add(() => [redis, queueRedis].forEach((client) => client.disconnect()))
  const queues = await openQueueReader(config.amqpUrl, queueRedis, config.namespace)
  cleanup.add(() => queues.close())
  const apiUrl = `http://127.0.0.1:${config.port}`
  const rush = createApiClient(apiUrl, RUSH_SOCKETS)
  const followUp = createApiClient(apiUrl, FOLLOW_UP_SOCKETS)
  cleanup.add(() => [rush, followUp].forEach((client) => client.close()))
  return {
    sources: { knex, redis, scripts: loadScripts(redis, spikeScripts) },
    queues,
    rush: rush.shop,
    followUp: followUp.shop,
  }
}
