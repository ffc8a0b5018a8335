/** `npm run screenshots`: photographs a running sale on the dashboard for the README. */
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from 'playwright-core'
import { loadConfig, loadEnvFile, loadSeedSettings, type Config } from '../src/platform/config.ts'
import { createLogger } from '../src/platform/logger.ts'
import { createPostgres } from '../src/platform/postgres/client.ts'
import { newCrowdLog, runCrowd } from './demo/crowd.ts'
import { openDemoSale, type DemoSale } from './demo/sale.ts'
import { createApiClient } from './lib/api-client.ts'
import { makeBuyers } from './lib/buyers.ts'
import { runCommand, type Cleanup } from './lib/command.ts'
import { startProcesses } from './lib/processes.ts'
import { build, freePort, migrateAndSeed, provideEnvironment } from './lib/set-up.ts'
import { provideBrowser } from './services/browser.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PICTURES = join(ROOT, 'docs/images')
const WIDTH = 1_280
const MAX_BYTES = 250_000
/** A stream of buyers, not a rush: after these waves, units are left, orders have lapsed, and the curves have a form. */
const SALE = { units: 1_000, windowS: 10 }
const WAVES = 24
const BUYERS_A_WAVE = 32
const WAVE_MS = 1_000
const SOCKETS = 100

const say = (line: string) => process.stdout.write(`${line}\n`)

await runCommand(async (cleanup, signal) => {
  loadEnvFile()
  const [{ env, services }, , browser] = await Promise.all([
    provideEnvironment(say, signal),
    build(),
    provideBrowser({ env: process.env, log: say, signal }),
  ])
  cleanup.add(() => services.stop())
  if (browser.kind === 'missing') throw new Error(`${browser.reason}\nto have it: ${browser.wayOut}`)
  env.RATE_LIMIT = 'off' // all buyers come from one address here
  for (const name of ['PORT', 'DASHBOARD_PORT', 'WORKERS_PORT']) env[name] ??= String(await freePort())
  const config = loadConfig(env)
  await migrateAndSeed(env)
  await startProcesses(env, join(ROOT, '.data/logs'), cleanup)
  const page = await openBrowser(browser.path, cleanup)
  await photograph(page, config, loadSeedSettings(env).password, cleanup)
  return 0
})

async function openBrowser(executablePath: string, cleanup: Cleanup): Promise<Page> {
  const browser = await chromium.launch({ executablePath })
  cleanup.add(() => browser.close())
  return browser.newPage({ viewport: { width: WIDTH, height: 1_240 }, colorScheme: 'light', locale: 'en-GB' })
}

async function photograph(page: Page, config: Config, password: string, cleanup: Cleanup): Promise<void> {
  const log = createLogger('screenshots', 'silent')
  const knex = createPostgres(
    { url: config.databaseUrl, applicationName: 'spike-screenshots', poolMax: 2 },
    log,
  )
  cleanup.add(() => knex.destroy())
  const client = createApiClient(`http://127.0.0.1:${config.port}`, SOCKETS)
  cleanup.add(() => client.close())
  const buyers = await makeBuyers(knex, config.jwtSecret, WAVES * BUYERS_A_WAVE)
  const sale = await openDemoSale(client.shop, { ...SALE, password })
  const dashboard = `http://127.0.0.1:${config.dashboardPort}`

  await page.goto(`${dashboard}/login`)
  await page.getByLabel('E-mail').fill('operator@spike.test')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.waitForURL((url) => url.pathname !== '/login')
  await page.goto(`${dashboard}/sales/${sale.eventId}`)
  for (let wave = 0; wave < WAVES; wave++) {
    startWave(sale, client.shop, buyers.slice(wave * BUYERS_A_WAVE, (wave + 1) * BUYERS_A_WAVE), wave)
    await sleep(WAVE_MS)
  }
  await keep(page, 'live-sale', 915)
  const order = await knex('orders')
    .where({ event_id: sale.eventId, status: 'paid' })
    .orderBy('id')
    .first('id')
  await page.goto(`${dashboard}/look-up?q=${order.id}`)
  await keep(page, 'look-up', 1_000)
}

/** They buy, and pay or not; nobody waits for them. */
function startWave(
  { eventId }: DemoSale,
  shop: Parameters<typeof openDemoSale>[0],
  buyers: Awaited<ReturnType<typeof makeBuyers>>,
  seed: number,
): void {
  const options = { rush: shop, followUp: shop, eventId, payShare: 0.8, seed, patienceMs: 5_000 }
  runCrowd(options, buyers, newCrowdLog()).catch((error: unknown) =>
    say(`a wave of buyers failed: ${String(error)}`),
  )
}

/** @param height of what is shown, from the top of the page, in pixels */
async function keep(page: Page, name: string, height: number): Promise<void> {
  mkdirSync(PICTURES, { recursive: true })
  const path = join(PICTURES, `${name}.png`)
  await page.screenshot({ path, clip: { x: 0, y: 0, width: WIDTH, height } })
  const { size } = statSync(path)
  if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MAX_BYTES}`)
  say(`${path}: ${Math.round(size / 1_000)} kB`)
}
