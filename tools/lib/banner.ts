import { relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadSeedSettings, type Config } from '../../src/platform/config.ts'
import type { Services } from '../services/index.ts'
import type { ShopClient } from '../../client/index.ts'
import { createApiClient, dataOf } from './api-client.ts'

/** What a person needs to use a stack that has just come up; waits until its seeded sale can be bought from. */
export async function stackBanner(stack: {
  config: Config
  env: NodeJS.ProcessEnv
  services: Services
  logs: string
}): Promise<string> {
  const { config } = stack
  const { password } = loadSeedSettings(stack.env)
  const apiUrl = `http://127.0.0.1:${config.port}`
  const { shop, close } = createApiClient(apiUrl, 2)
  const eventId = await openSale(shop)
  const login = await dataOf(
    shop.POST('/api/v1/auth/login', { body: { email: 'buyer1@spike.test', password } }),
  )
  close()
  return bannerText({
    ...stack,
    apiUrl,
    dashboardUrl: `http://127.0.0.1:${config.dashboardPort}`,
    password,
    eventId,
    token: login.access_token,
  })
}

/** Waits until the workers have opened the seeded sale. @returns its id */
async function openSale(shop: ShopClient): Promise<string> {
  for (let tries = 0; tries < 200; tries++) {
    const { items } = await dataOf(shop.GET('/api/v1/spike-events'))
    const open = items.find((event) => event.state === 'live' && event.remaining !== null)
    if (open !== undefined) return open.id
    await sleep(100)
  }
  throw new Error('the seeded sale did not open within 20 s')
}

function bannerText(stack: {
  apiUrl: string
  dashboardUrl: string
  services: Services
  logs: string
  password: string
  eventId: string
  token: string
}): string {
  const { services } = stack
  const service = (name: string, variable: keyof Services['urls']) =>
    line(name, `${services.urls[variable]}  (${services.origins[variable]})`)
  return [
    '',
    'The flash sale stack is up.',
    '',
    line('API', `${stack.apiUrl}/api/v1`),
    line('API docs', `${stack.apiUrl}/docs`),
    line('Dashboard', `${stack.dashboardUrl}  (log in as operator@spike.test)`),
    service('PostgreSQL', 'DATABASE_URL'),
    service('Redis stock', 'REDIS_URL'),
    service('Redis queues', 'QUEUE_REDIS_URL'),
    service('RabbitMQ', 'AMQP_URL'),
    line('Logs', relative(process.cwd(), stack.logs)),
    line('Accounts', 'admin@spike.test, operator@spike.test, buyer1@spike.test to buyer10@spike.test'),
    line('Password', stack.password),
    '',
    'Buy one unit (the token is good for 15 minutes):',
    '',
    `  curl -sX POST ${stack.apiUrl}/api/v1/spike-events/${stack.eventId}/orders -H 'Authorization: Bearer ${stack.token}'`,
    '',
    'In another terminal: npm run tokens -- --count 100 makes buyers for 12 hours, npm run doctor checks this stack.',
    'Ctrl-C ends it.',
    '',
  ].join('\n')
}

function line(name: string, value: string): string {
  return `  ${name.padEnd(13)}${value}`
}
