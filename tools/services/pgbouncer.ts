/** PgBouncer in front of PostgreSQL: many clients share few connections, each for one transaction at a time. */
import { join } from 'node:path'
import { Client } from 'pg'
import { limitsAsSql, SESSION_LIMITS } from '../../src/platform/postgres/session-limits.ts'
import { ServiceDied } from './errors.ts'
import { binariesOf } from './local.ts'
import { LOOPBACK, untilReady, withPorts } from './ports.ts'
import { startService } from './restartable.ts'
import type { ClusterStarter } from './service.ts'

const READY_MS = 30_000
/** Few, so that they really are shared: one API process alone may open more. */
const POOL_SIZE = 20
const MAX_CLIENTS = 500

/** Starts PgBouncer in transaction mode in front of the PostgreSQL that runs, for any database of that server. */
export const startPgbouncer: ClusterStarter = async ({ instance, home, env, log, urls }) => {
  if (urls.DATABASE_URL === undefined)
    throw new ServiceDied('pgbouncer needs a PostgreSQL to stand in front of')
  const server = new URL(urls.DATABASE_URL)
  const binaries = await binariesOf(instance, home, ['pgbouncer'], env, log)('pgbouncer')
  const folder = instance.folder('pgbouncer')
  const logFile = join(folder, 'log')
  const config = join(folder, 'pgbouncer.ini')
  const users = join(folder, 'users')
  // Not hashed: with it PgBouncer logs in at PostgreSQL, whatever that wants to see.
  instance.write(users, `${word(server.username)} ${word(server.password)}\n`)
  const service = await withPorts(1, async ([port = 0]) => {
    instance.write(config, configText(port, server, users))
    const url = new URL(server)
    url.host = `${LOOPBACK}:${port}`
    return startService({
      instance,
      url: url.href,
      folder,
      spec: { command: binaries.command, args: [config], env: binaries.env, cwd: folder, log: logFile },
      ready: (child) => {
        const probe = () => answers(url.href)
        return untilReady({ name: 'pgbouncer', child, log: logFile, timeoutMs: READY_MS, probe })
      },
    })
  })
  return { urls: { DATABASE_URL: service.url }, nodes: new Map([['pgbouncer', service]]) }
}

function configText(port: number, server: URL, users: string): string {
  return [
    '[databases]',
    // A transaction gets whichever connection is free, so the limits belong to each of them, from its beginning.
    `* = host=${server.hostname} port=${server.port || 5432} connect_query='${limitsAsSql()}'`,
    '[pgbouncer]',
    `ignore_startup_parameters = ${Object.keys(SESSION_LIMITS).join(',')}`,
    'pool_mode = transaction',
    `default_pool_size = ${POOL_SIZE}`,
    `max_client_conn = ${MAX_CLIENTS}`,
    // As long as the product waits for a connection of its own pool.
    'query_wait_timeout = 5',
    `listen_addr = ${LOOPBACK}`,
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = scram-sha-256',
    `auth_file = ${users}`,
    `admin_users = ${server.username}`,
    '',
  ].join('\n')
}

/** A user or password of a URL, as the list of users has it. */
function word(encoded: string): string {
  return `"${decodeURIComponent(encoded).replaceAll('"', '""')}"`
}

/** True when PostgreSQL answers through it: whoever else took the port does not know the password. */
async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  try {
    await client.connect()
    await client.query('SELECT 1')
    return true
  } finally {
    await client.end()
  }
}
