import { existsSync } from 'node:fs'
import { expect } from 'chai'
import knexModule, { type Knex } from 'knex'
import { after, before, describe, it } from 'mocha'
import { createEmptyDatabase, type TestDatabase } from '../../support/database.ts'
import { knexCli } from '../../support/knex-cli.ts'
import { serverUrls } from '../../support/world.ts'

const SEEDED = ['users', 'products', 'inventory', 'inventory_movements', 'spike_events', 'audit_log'] as const
const LIMIT_MS = 60_000

describe('migrations and seeds through the knex CLI', function () {
  this.timeout(LIMIT_MS)
  let database: TestDatabase
  let knex: Knex
  before(async () => {
    database = await createEmptyDatabase(serverUrls().DATABASE_URL)
    knex = knexModule({ client: 'pg', connection: database.url, pool: { min: 0, max: 1 } })
  })
  after(async () => {
    await knex.destroy()
    await database.drop()
  })

  const run = async (form: 'sources' | 'compiled', ...command: string[]): Promise<string> => {
    const { code, output } = await knexCli(form, command, { DATABASE_URL: database.url })
    expect(code, output).to.equal(0)
    return output
  }
  const tables = async (): Promise<string[]> => {
    const rows = await knex('pg_tables')
      .where('schemaname', 'public')
      .orderBy('tablename')
      .select('tablename')
    return rows.map(({ tablename }) => tablename).filter((name) => !name.startsWith('knex_'))
  }
  /** Everything of the schema that a migration may leave behind or forget. */
  const schema = async (): Promise<unknown> => {
    const { rows } = await knex.raw(
      `SELECT c.relname, c.relkind, pg_get_indexdef(c.oid) AS index, array(
                SELECT format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull)
                  FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 ORDER BY attnum) AS columns,
              array(SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = c.oid ORDER BY conname) AS rules,
              array(SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) AS triggers
         FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'knex_%' ORDER BY relname`,
    )
    return rows
  }
  const names = async (): Promise<string[]> =>
    (await knex('knex_migrations').orderBy('id').select('name')).map(({ name }) => name)

  it('go up, all the way down and up again, and leave nothing behind', async () => {
    await run('sources', 'migrate:latest')
    const [first, migrated] = [await schema(), await names()]
    expect(await tables()).to.include.members([
      'orders',
      'outbox',
      'payments',
      'reservations',
      'spike_events',
    ])
    await run('sources', 'migrate:rollback', '--all')
    expect(await schema()).to.deep.equal([])
    const functions = await knex('pg_proc')
      .whereRaw(`pronamespace = 'public'::regnamespace`)
      .select('proname')
    expect(functions).to.deep.equal([])
    await run('sources', 'migrate:latest')
    expect(await schema()).to.deep.equal(first)
    expect(await names()).to.deep.equal(migrated)
  })

  it('have the same names when they run compiled, so that nothing runs twice', async () => {
    expect(existsSync('dist/knexfile.js'), 'npm test builds first; else run npm run build').to.equal(true)
    await run('sources', 'migrate:latest')
    const before = await names()
    expect(await run('compiled', 'migrate:latest')).to.include('Already up to date')
    expect(await names()).to.deep.equal(before)
    for (const name of before) expect(name).to.match(/^\d{14}_[a-z_]+$/)
  })

  it('seed accounts, products and an open sale, and change nothing when they run again', async () => {
    await run('sources', 'migrate:latest')
    await run('sources', 'seed:run')
    const rows = async () => Promise.all(SEEDED.map((table) => knex(table).orderBy('id')))
    const before = await rows()
    const open = await knex('spike_events')
      .where('status', 'published')
      .andWhere('available', '>', 0)
      .andWhereRaw('now() BETWEEN start_at AND end_at')
    expect(open).to.have.length(1)
    const roles = (await knex('users').orderBy('role').select('role')).map(({ role }) => role)
    expect(roles).to.deep.equal(['admin', 'operator', ...Array<string>(10).fill('user')])
    await run('sources', 'seed:run')
    expect(await rows()).to.deep.equal(before)
  })

  it('say in one line that DATABASE_URL is missing', async () => {
    const { code, output } = await knexCli('sources', ['migrate:latest'], { DATABASE_URL: '' })
    expect(code).to.equal(1)
    expect(output).to.match(/^DATABASE_URL is missing: .*\n$/m)
  })
})
