/** `npm run stack`: services, schema, seeds and all processes in the foreground until Ctrl-C. */
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { loadConfig, loadEnvFile, loadSeedSettings } from '../src/platform/config.ts'
import { createApiClient, type ApiClient } from './lib/api-client.ts'
import { stackBanner } from './lib/banner.ts'
import { runCommand } from './lib/command.ts'
import { startProcesses } from './lib/processes.ts'
import { announceStack } from './lib/running-stack.ts'
import { build, freePort, migrateAndSeed, provideEnvironment } from './lib/set-up.ts'

const LOGS = join(fileURLToPath(new URL('../.data', import.meta.url)), 'logs')
const say = (line: string) => process.stdout.write(`${line}\n`)

await runCommand(async (cleanup, signal) => {
  loadEnvFile()
  const [{ env, services }] = await Promise.all([provideEnvironment(say, signal), build()])
  cleanup.add(() => services.stop())
  env.PORT ??= String(await freePort(8080))
  env.DASHBOARD_PORT ??= String(await freePort(8081))
  const config = loadConfig(env)
  await migrateAndSeed(env)
  const started = await startProcesses(env, LOGS, cleanup)
  cleanup.add(announceStack(env))

  const baseUrl = `http://127.0.0.1:${config.port}/api/v1`
  const client = createApiClient(baseUrl, 2)
  cleanup.add(() => client.close())
  const eventId = await openSale(client)
  const password = loadSeedSettings(env).password
  const login = await client.call('POST', '/auth/login', { body: { email: 'buyer1@spike.test', password } })
  say(
    stackBanner({
      baseUrl,
      dashboardUrl: `http://127.0.0.1:${config.dashboardPort}`,
      services,
      logs: LOGS,
      password,
      eventId,
      token: String(login.data.access_token),
    }),
  )
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

/** Waits until the workers have opened the seeded sale. @returns its id */
async function openSale(client: ApiClient): Promise<string> {
  for (let tries = 0; tries < 200; tries++) {
    const { data } = await client.call('GET', '/spike-events')
    const open = (data.items as { id: string; state: string; remaining: number | null }[]).find(
      (event) => event.state === 'live' && event.remaining !== null,
    )
    if (open !== undefined) return open.id
    await sleep(100)
  }
  throw new Error('the seeded sale did not open within 20 s')
}
