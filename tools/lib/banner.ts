import { relative } from 'node:path'
import type { Services } from '../services/index.ts'

/** What a person needs to use a stack that has just come up. */
export function stackBanner(stack: {
  baseUrl: string
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
    line('API', stack.baseUrl),
    line('Dashboard', `${stack.dashboardUrl}  (log in as operator@spike.test)`),
    service('PostgreSQL', 'DATABASE_URL'),
    service('Redis stock', 'REDIS_URL'),
    service('Redis queues', 'QUEUE_REDIS_URL'),
    service('RabbitMQ', 'AMQP_URL'),
    line('Logs', relative(process.cwd(), stack.logs)),
    line('Accounts', 'admin@spike.test, operator@spike.test, buyer1@spike.test to buyer10@spike.test'),
    line('Password', stack.password),
    '',
    'Buy one unit:',
    '',
    `  curl -sX POST ${stack.baseUrl}/spike-events/${stack.eventId}/orders -H 'Authorization: Bearer ${stack.token}'`,
    '',
    'In another terminal: npm run tokens -- --count 100 makes load-test buyers, npm run doctor checks this stack.',
    'Ctrl-C ends it.',
    '',
  ].join('\n')
}

function line(name: string, value: string): string {
  return `  ${name.padEnd(13)}${value}`
}
