import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import knexModule, { type Knex } from 'knex'
import { migrationSource } from '../../knexfile.ts'
import { POOL_MAX } from '../../src/contracts/pools.ts'
import type { Config } from '../../src/platform/config.ts'
import { limitsAsSql, missingLimits, SESSION_LIMITS } from '../../src/platform/postgres/session-limits.ts'
import { hostOf, reasonOf } from '../../src/platform/service-error.ts'
import { checkClock } from './clock.ts'
import { checkServerDisk } from './disk.ts'
import { finding, ifTold, untold, unusable, type Finding } from './finding.ts'
import { checkVersion } from './versions.ts'

const TIMEOUT_MS = 5_000
/** What knex would write to the console comes as an error too. */
const nothing = () => undefined
const SILENT = { warn: nothing, error: nothing, deprecate: nothing, debug: nothing }
const OUR_POOLS = Object.values(POOL_MAX).reduce((sum, max) => sum + max, 0)
const START = 'start PostgreSQL (docker compose up -d postgres), or correct DATABASE_URL'
/** Of PgBouncer, whose sessions are not the client's. */
const LET_POOLER_LIMIT =
  `in pgbouncer.ini: ignore_startup_parameters = ${Object.keys(SESSION_LIMITS).join(',')}, ` +
  `and for the database connect_query='${limitsAsSql()}' (docs/clusters.md)`

/** Reachable, new enough, schema up to date, commits that last, time limits, connections for all, clock, disk. */
export async function checkPostgres(config: Config): Promise<Finding[]> {
  const what = `PostgreSQL ${hostOf(config.databaseUrl)}`
  const knex = knexModule({
    client: 'pg',
    connection: {
      connectionString: config.databaseUrl,
      connectionTimeoutMillis: TIMEOUT_MS,
      query_timeout: TIMEOUT_MS,
      application_name: 'spike-doctor',
      ...SESSION_LIMITS,
    } as Knex.PgConnectionConfig, // as in the product's own client
    pool: { min: 0, max: 1 },
    log: SILENT,
  })
  try {
    const version = await setting(knex, 'server_version')
    return [
      checkVersion(what, 'PostgreSQL', version.split(' ')[0] ?? version),
      await checkMigrations(knex),
      await checkCommits(knex, config.env === 'prod'),
      await checkLimits(knex),
      await checkConnections(knex),
      await checkClock('clock of PostgreSQL', () => now(knex)),
      await ifTold('disk of PostgreSQL', () => checkDataFolder(knex)),
    ]
  } catch (error) {
    const isRefused = reasonOf(error).includes('unsupported startup parameter')
    return [unusable(what, error, isRefused ? LET_POOLER_LIMIT : START)]
  } finally {
    await knex.destroy()
  }
}

async function checkMigrations(knex: Knex): Promise<Finding> {
  const applied = await appliedMigrations(knex)
  const files = await migrationSource.getMigrations([])
  const known = files.map((file) => migrationSource.getMigrationName(file))
  const pending = known.filter((name) => !applied.includes(name))
  const newer = applied.filter((name) => !known.includes(name))
  if (pending.length === 0 && newer.length > 0)
    return finding(
      'migrations',
      false,
      `newer than this code: ${newer.join(', ')}`,
      'run the code of that version',
    )
  const detail = pending.length === 0 ? 'all applied' : `${pending.length} not applied: ${pending.join(', ')}`
  return finding('migrations', pending.length === 0, detail, 'npm run migrate')
}

/** Asked by hand: knex makes its tables where it finds none, and a doctor changes nothing. */
async function appliedMigrations(knex: Knex): Promise<string[]> {
  const { rows } = await knex.raw(`SELECT to_regclass('knex_migrations') IS NOT NULL AS is_there`)
  if (rows[0].is_there !== true) return []
  return knex('knex_migrations').pluck('name')
}

/** A commit that a crash of the machine may take back is an order that was promised and is gone. */
async function checkCommits(knex: Knex, isProd: boolean): Promise<Finding> {
  const names = ['fsync', 'full_page_writes', 'synchronous_commit']
  const values = await Promise.all(names.map((name) => setting(knex, name)))
  const off = names.filter((_, i) => values[i] === 'off')
  const detail = names.map((name, i) => `${name} ${values[i]}`).join(', ')
  const sql = off.map((name) => `-c "ALTER SYSTEM SET ${name} = on"`).join(' ')
  return finding(
    'commits last',
    off.length === 0 || !isProd,
    off.length === 0 || isProd ? detail : `${detail} (bad in prod)`,
    `psql "$DATABASE_URL" ${sql} -c "SELECT pg_reload_conf()"`,
  )
}

/** What the client asks for, a pooler in between does not pass on. */
async function checkLimits(knex: Knex): Promise<Finding> {
  const missing = await missingLimits(knex)
  return finding('time limits of PostgreSQL', missing === undefined, missing ?? 'hold', LET_POOLER_LIMIT)
}

/** One process of each kind has to find room beside whoever else is there now. */
async function checkConnections(knex: Knex): Promise<Finding> {
  if (await isPooled(knex))
    return untold('connections of PostgreSQL', 'a pooler shares its own among all of ours (SHOW POOLS)')
  const { rows } = await knex.raw(`
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS room,
      (SELECT count(*)::int FROM pg_stat_activity
       WHERE backend_type = 'client backend' AND coalesce(application_name, '') NOT LIKE 'spike-%') AS others`)
  const { room, others } = rows[0] as { room: number; others: number }
  const needed = OUR_POOLS + others
  return finding(
    'connections of PostgreSQL',
    needed <= room,
    `${OUR_POOLS} for one process of each kind and ${others} of others, of ${room}`,
    `psql "$DATABASE_URL" -c "ALTER SYSTEM SET max_connections = ${Math.ceil((needed + 50) / 50) * 50}", then restart it`,
  )
}

/** A pooler tells a client a number of its own, not that of the server's process. */
async function isPooled(knex: Knex): Promise<boolean> {
  const connection = await knex.client.acquireConnection()
  try {
    const { rows } = await connection.query('SELECT pg_backend_pid() AS pid')
    return rows[0].pid !== connection.processID
  } finally {
    await knex.client.releaseConnection(connection)
  }
}

/** A running server notes its start in its data folder: only that proves that the folder here is its own. */
async function checkDataFolder(knex: Knex): Promise<Finding> {
  const folder = await setting(knex, 'data_directory')
  const { rows } = await knex.raw(
    `SELECT floor(extract(epoch FROM pg_postmaster_start_time()))::int AS started`,
  )
  return checkServerDisk('disk of PostgreSQL', folder, async () => {
    const [, , started] = (await readFile(join(folder, 'postmaster.pid'), 'utf8')).split('\n')
    return Math.abs(Number(started) - rows[0].started) <= 1
  })
}

async function setting(knex: Knex, name: string): Promise<string> {
  const { rows } = await knex.raw('SELECT current_setting(?) AS value', [name])
  return rows[0].value as string
}

async function now(knex: Knex): Promise<number> {
  const { rows } = await knex.raw('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms')
  return Number(rows[0].ms)
}
