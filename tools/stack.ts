/**
 * `npm run stack`: services, schema, seeds and all processes in the foreground until Ctrl-C.
 * `npm run stack -- --with redis-cluster` has a cluster in the place of the plain service; may be repeated.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadConfig, loadEnvFile } from '../src/platform/config.ts'
import { stackBanner } from './lib/banner.ts'
import { runCommand } from './lib/command.ts'
import { startProcesses } from './lib/processes.ts'
import { announceStack } from './lib/running-stack.ts'
import { build, freePort, migrateAndSeed, provideEnvironment } from './lib/set-up.ts'
import { toClusterName } from './services/clusters.ts'

const LOGS = join(fileURLToPath(new URL('../.data', import.meta.url)), 'logs')
const say = (line: string) => process.stdout.write(`${line}\n`)

await runCommand(async (cleanup, signal) => {
  const { values } = parseArgs({ options: { with: { type: 'string', multiple: true, default: [] } } })
  const clusters = values.with.map(toClusterName)
  loadEnvFile()
  const [{ env, services }] = await Promise.all([provideEnvironment(say, signal, clusters), build()])
  cleanup.add(() => services.stop())
  env.PORT ??= String(await freePort(8080))
  env.DASHBOARD_PORT ??= String(await freePort(8081))
  env.WORKERS_PORT ??= String(await freePort(8082))
  const config = loadConfig(env)
  await migrateAndSeed(env)
  const started = await startProcesses(env, LOGS, cleanup)
  cleanup.add(announceStack(env))

  say(await stackBanner({ config, env, services, logs: LOGS }))
  say('ready')

  const ended = await Promise.race([
    once(signal, 'abort').then(() => undefined),
    ...started.map((child) => child.exited.then((code) => ({ child, code }))),
  ])
  if (ended === undefined) return 130
  throw new Error(
    `${ended.child.role} ended with exit code ${ended.code}; its log: ${join(LOGS, `${ended.child.role}.log`)}`,
  )
})
