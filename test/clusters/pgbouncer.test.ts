/** The product behind PgBouncer in transaction mode, which is killed in mid-sale. */
import { expect } from 'chai'
import type { Knex } from 'knex'
import { after, before, describe, it } from 'mocha'
import { Client } from 'pg'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { SESSION_LIMITS } from '../../src/platform/postgres/session-limits.ts'
import { isTransient } from '../../src/platform/postgres/transaction.ts'
import { examine } from '../../tools/doctor/examine.ts'
import { provideServices, type Services } from '../../tools/services/index.ts'
import type { RunningService } from '../../tools/services/service.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { createEmptyDatabase } from '../support/database.ts'
import { openFleet, playSale, tellKilled, type Fleet } from '../support/fleet.ts'
import { knexCli } from '../support/knex-cli.ts'
import { createStage, type Stage } from '../support/stage.ts'
import { until } from '../support/wait.ts'
import { createWorld, serverUrls, type World } from '../support/world.ts'

const UNITS = 60

describe('behind PgBouncer in transaction mode', function () {
  this.timeout(240_000)
  let services: Services
  let bouncer: RunningService
  /** Its own stores and clients go past PgBouncer; the processes go through it. */
  let world: World
  let url: string
  let stage: Stage
  let fleet: Fleet
  before(async () => {
    services = await provideServices({ env: process.env, clusters: ['pgbouncer'], log: () => undefined })
    const found = services.nodes.get('pgbouncer')
    if (found === undefined) throw new Error('pgbouncer was not started')
    bouncer = found
    world = await createWorld({ RATE_LIMIT: 'off' })
    url = throughBouncer(world.config.databaseUrl)
    stage = createStage({ ...world, env: { ...world.env, DATABASE_URL: url } })
    const env = { DATABASE_URL: url }
    ;[fleet] = await Promise.all([openFleet(world, { apis: 2, workers: 2, env }), stage.start('dashboard')])
  })
  after(async () => {
    await fleet.close()
    await stage.close()
    await world.close()
    await services.stop()
  })

  const throughBouncer = (databaseUrl: string): string => {
    const through = new URL(bouncer.url)
    through.pathname = new URL(databaseUrl).pathname
    return through.href
  }

  describe('a sale', () => {
    it('loses nothing when it is killed', async () => {
      const eventId = await createSale(world, { stock: UNITS, paymentWindowS: 3 })
      const pools = watchPools(bouncer.url, new URL(url).pathname.slice(1))
      let backAfter = 0
      const played = await playSale(world, fleet, { eventId, units: UNITS, buyers: 200 }, async () => {
        backAfter = await killAndRestart(bouncer)
      })
      const { clients, servers, size } = await pools.stop()
      tellKilled(`pgbouncer (SIGKILL, back after ${backAfter} ms)`, played)
      process.stdout.write(`      at most ${clients} clients on ${servers} connections of PostgreSQL\n`)
      expect(played.judgement.broken).to.deep.equal([])
      expect(played.judgement.orders, 'units were sold again').to.be.above(UNITS)
      expect(clients).to.be.above(servers)
      expect(servers).to.be.at.most(size)
      for (const { name, counts } of [...fleet.apis, ...fleet.workers])
        expect(counts.deaths, `${name} lives on`).to.equal(0)
      expect((await fetch(`${world.dashboardUrl}/readyz`)).status).to.equal(200)
    })
  })

  describe('the time limits', () => {
    let knex: Knex
    before(() => {
      knex = createPostgres({ url, applicationName: 'spike-test-pooled', poolMax: 40 }, world.log)
    })
    after(() => knex.destroy())

    it('are those of every connection that it may give to a transaction', async () => {
      const read = () =>
        knex.transaction(async (trx) => {
          const { rows } = await trx.raw(
            `SELECT name, setting::int AS ms, pg_backend_pid() AS pid FROM pg_settings WHERE name = ANY(?)`,
            [Object.keys(SESSION_LIMITS)],
          )
          return rows as { name: string; ms: number; pid: number }[]
        })
      const readings = await Promise.all(Array.from({ length: 40 }, read))
      for (const rows of readings)
        expect(Object.fromEntries(rows.map(({ name, ms }) => [name, ms]))).to.deep.equal(SESSION_LIMITS)
      const backends = new Set(readings.map(([row]) => row?.pid))
      expect(backends.size).to.be.within(2, 20)
    })

    it('end a statement, a wait for a lock and an idle transaction', async () => {
      const productId = await createProduct(world)
      const touch = (db: Knex | Knex.Transaction) =>
        db('products').where({ id: productId }).increment('version')
      const codeOf = (work: () => PromiseLike<unknown>) =>
        work().then(
          () => 'done',
          (error: { code?: string }) => error.code,
        )
      const idle = await knex.transaction()
      await idle.raw('SELECT 1')
      await world.knex.transaction(async (holder) => {
        await holder.raw('SET LOCAL idle_in_transaction_session_timeout = 0')
        await touch(holder)
        const [lock, statement] = await Promise.all([
          codeOf(() => touch(knex)),
          codeOf(() => knex.raw('SELECT pg_sleep(60)')),
        ])
        expect({ lock, statement }).to.deep.equal({ lock: '55P03', statement: '57014' })
      })
      const ended = await idle.raw('SELECT 1').catch((error: unknown) => error)
      expect(isTransient(ended), String(ended)).to.equal(true)
      await idle.rollback().catch(() => undefined) // its connection is gone, and knex wants to hear of the end
    })

    it('of one transaction are not those of the next', async () => {
      await knex.transaction((trx) => trx.raw('SET LOCAL statement_timeout = 0'))
      const readings = await Promise.all(Array.from({ length: 40 }, () => knex.raw('SHOW statement_timeout')))
      expect(new Set(readings.map(({ rows }) => rows[0].statement_timeout))).to.deep.equal(new Set(['15s']))
    })
  })

  it('the migrations run, also those outside of a transaction', async () => {
    const database = await createEmptyDatabase(serverUrls().DATABASE_URL)
    try {
      const env = { DATABASE_URL: throughBouncer(database.url) }
      for (const command of [
        ['migrate:latest'],
        ['seed:run'],
        ['migrate:rollback', '--all'],
        ['migrate:latest'],
      ]) {
        const { code, output } = await knexCli('compiled', command, env)
        expect(code, output).to.equal(0)
      }
    } finally {
      await database.drop()
    }
  })

  it('the doctor sees that it is there, and that the time limits hold', async () => {
    const findings = await examine({ ...world.env, DATABASE_URL: url })
    const found = (what: string) => findings.find((finding) => finding.what === what)
    expect(found('time limits of PostgreSQL')).to.deep.include({ ok: true, detail: 'hold' })
    expect(found('connections of PostgreSQL')).to.deep.include({ untold: true })
  })
})

async function killAndRestart(service: RunningService): Promise<number> {
  const began = performance.now()
  process.kill(service.pid() ?? 0, 'SIGKILL')
  await service.ended()
  await service.restart()
  return Math.round(performance.now() - began)
}

interface PoolFigures {
  clients: number
  servers: number
  /** Connections that it may open. */
  size: number
}

/** Asks PgBouncer's console now and then; it keeps the highest figures. */
function watchPools(url: string, database: string): { stop(): Promise<PoolFigures> } {
  const most: PoolFigures = { clients: 0, servers: 0, size: 0 }
  let stopped = false
  const watching = until(
    'the end of the watch',
    async () => {
      const found = await readPool(url, database).catch(() => undefined) // it is killed meanwhile
      for (const name of ['clients', 'servers', 'size'] as const)
        most[name] = Math.max(most[name], found?.[name] ?? 0)
      return stopped
    },
    120_000,
  )
  return {
    async stop() {
      stopped = true
      await watching
      return most
    },
  }
}

async function readPool(url: string, database: string): Promise<PoolFigures> {
  const console = new URL(url)
  console.pathname = '/pgbouncer'
  const client = new Client({ connectionString: console.href, connectionTimeoutMillis: 2_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const [pool] = (await client.query('SHOW POOLS')).rows.filter((row) => row.database === database)
    const [settings] = (await client.query('SHOW DATABASES')).rows.filter((row) => row.name === database)
    const sum = (...names: string[]) => names.reduce((total, name) => total + Number(pool?.[name] ?? 0), 0)
    return {
      clients: sum('cl_active', 'cl_waiting'),
      servers: sum('sv_active', 'sv_idle', 'sv_used', 'sv_tested', 'sv_login'),
      size: Number(settings?.pool_size ?? 0),
    }
  } finally {
    await client.end()
  }
}
