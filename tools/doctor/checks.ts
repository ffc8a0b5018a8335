import { readFileSync } from 'node:fs'
import { connect } from 'amqplib'
import { Redis } from 'ioredis'
import knexModule from 'knex'
import { migrationSource } from '../../knexfile.ts'
import { MESSAGES, topologyOf } from '../../src/contracts/messages/topology.ts'
import type { Config } from '../../src/platform/config.ts'
import { hostOf, reasonOf } from '../../src/platform/service-error.ts'
import type { Finding } from './finding.ts'

const TIMEOUT_MS = 5_000

export function checkNode(): Finding {
  const wanted = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).engines.node
  return { what: 'Node', ok: true, detail: `${process.version} (wanted ${wanted})` }
}

/** Reachable, schema up to date, clock near ours. */
export async function checkPostgres(config: Config): Promise<Finding[]> {
  const what = `PostgreSQL ${hostOf(config.databaseUrl)}`
  const knex = knexModule({
    client: 'pg',
    connection: { connectionString: config.databaseUrl, connectionTimeoutMillis: TIMEOUT_MS },
    pool: { min: 0, max: 1 },
  })
  try {
    const { rows } = await knex.raw(`SELECT current_setting('server_version') AS version, now() AS now`)
    const [, pending] = (await knex.migrate.list({ migrationSource })) as [unknown[], unknown[]]
    const skewMs = Math.abs(Date.now() - rows[0].now.getTime())
    return [
      { what, ok: true, detail: `version ${rows[0].version}` },
      {
        what: 'migrations',
        ok: pending.length === 0,
        detail: pending.length === 0 ? 'all applied' : `${pending.length} not applied`,
        mend: 'npm run migrate',
      },
      {
        what: 'clock',
        ok: skewMs < 5_000,
        detail: `${skewMs} ms between this machine and PostgreSQL`,
        mend: 'set both clocks by NTP',
      },
    ]
  } catch (error) {
    return [unreachable(what, error, 'start PostgreSQL or correct DATABASE_URL')]
  } finally {
    await knex.destroy()
  }
}

/**
 * Reachable, and never evicts.
 * @param durable whether it also has to keep an append-only file, as the one that has the stock does
 */
export async function checkRedis(
  setting: string,
  url: string,
  { durable }: { durable: boolean },
): Promise<Finding[]> {
  const what = `Redis ${hostOf(url)} (${setting})`
  const redis = new Redis(url, { lazyConnect: true, connectTimeout: TIMEOUT_MS, retryStrategy: () => null })
  let lastError: unknown
  redis.on('error', (error) => (lastError = error))
  try {
    await redis.connect()
    const info = await redis.info()
    const field = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? 'unknown'
    const appendOnly: Finding = {
      what: `${setting} append-only file`,
      ok: field('aof_enabled') !== '0',
      detail: field('aof_enabled') === '0' ? 'off' : 'on',
      mend: 'redis-cli CONFIG SET appendonly yes, and the same in redis.conf',
    }
    return [
      { what, ok: true, detail: `version ${field('redis_version')}` },
      {
        what: `${setting} maxmemory-policy`,
        ok: field('maxmemory_policy') === 'noeviction',
        detail: field('maxmemory_policy'),
        mend: 'redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf',
      },
      ...(durable ? [appendOnly] : []),
    ]
  } catch (error) {
    return [unreachable(what, lastError ?? error, `start Redis or correct ${setting}`)]
  } finally {
    redis.disconnect()
  }
}

/** Reachable, with the queues that the processes declare. */
export async function checkBroker(config: Config): Promise<Finding[]> {
  const what = `RabbitMQ ${hostOf(config.amqpUrl)}`
  try {
    const connection = await connect(config.amqpUrl, { timeout: TIMEOUT_MS })
    connection.on('error', () => undefined) // a missing queue closes its channel only
    const { version } = connection.connection.serverProperties as { version?: string }
    const topology = topologyOf(config.namespace)
    const missing: string[] = []
    for (const queue of [...MESSAGES.map((message) => topology.queueOf(message)), topology.deadQueue]) {
      const channel = await connection.createChannel()
      channel.on('error', () => missing.push(queue))
      await channel.checkQueue(queue).then(
        () => channel.close(),
        () => undefined,
      )
    }
    await connection.close()
    return [
      { what, ok: true, detail: `version ${version}` },
      {
        what: 'queues',
        ok: missing.length === 0,
        detail: missing.length === 0 ? 'declared' : `missing: ${missing.join(', ')}`,
        mend: 'start the workers once: npm run build && npm run workers',
      },
    ]
  } catch (error) {
    return [unreachable(what, error, 'start RabbitMQ or correct AMQP_URL')]
  }
}

export function checkApi(config: Config): Promise<Finding[]> {
  return checkHttp('API', config, config.port, '/readyz', 'npm run build && npm start')
}

export function checkDashboard(config: Config): Promise<Finding[]> {
  return checkHttp(
    'dashboard',
    config,
    config.dashboardPort,
    '/healthz',
    'npm run build && npm run dashboard',
  )
}

async function checkHttp(
  name: string,
  config: Config,
  port: number,
  path: string,
  mend: string,
): Promise<Finding[]> {
  const host = config.host === '0.0.0.0' ? '127.0.0.1' : config.host
  const what = `${name} ${host}:${port}`
  try {
    const response = await fetch(`http://${host}:${port}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    return [{ what, ok: response.ok, detail: `${path} answers ${response.status}`, mend }]
  } catch (error) {
    return [unreachable(what, (error as Error).cause ?? error, mend)]
  }
}

function unreachable(what: string, error: unknown, mend: string): Finding {
  return { what, ok: false, detail: reasonOf(error), mend }
}
