/** `npm run tokens -- --count N`: buyers for load tests, one JSON line each. */
import { parseArgs } from 'node:util'
import { loadConfig, loadEnvFile } from '../src/platform/config.ts'
import { createLogger } from '../src/platform/logger.ts'
import { contactPostgres, createPostgres } from '../src/platform/postgres/client.ts'
import { makeBuyers } from './lib/buyers.ts'
import { runCommand } from './lib/command.ts'
import { withRunningStack } from './lib/running-stack.ts'

const MAX_COUNT = 1_000_000

await runCommand(async (cleanup) => {
  const { values } = parseArgs({ options: { count: { type: 'string', default: '10' } } })
  const count = Number(values.count)
  if (!Number.isInteger(count) || count < 1 || count > MAX_COUNT)
    throw new Error(`--count must be a whole number from 1 to ${MAX_COUNT}`)
  loadEnvFile()
  const config = loadConfig(withRunningStack(process.env))
  if (config.env === 'prod') throw new Error('refused: APP_ENV is prod, and these are test buyers')
  const log = createLogger('tokens', 'silent')
  const knex = createPostgres({ url: config.databaseUrl, applicationName: 'spike-tokens', poolMax: 2 }, log)
  cleanup.add(() => knex.destroy())
  await contactPostgres(knex, config.databaseUrl)
  for (const buyer of await makeBuyers(knex, config.jwtSecret, count))
    process.stdout.write(`${JSON.stringify(buyer)}\n`)
  return 0
})
