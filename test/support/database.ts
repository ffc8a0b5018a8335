/** Databases for tests: each is a clone of a migrated template, so no test sees the rows of another. */
import { randomBytes } from 'node:crypto'
import knexModule, { type Knex } from 'knex'
import { migrationSource } from '../../knexfile.ts'

/** A database of its own and how to drop it. */
export interface TestDatabase {
  url: string
  drop(): Promise<void>
}

const TEMPLATE = `spike_test_template_${process.pid}`
let template: Promise<string> | undefined

/** Clones the template, which is migrated once in a run. */
export async function createTestDatabase(serverUrl: string): Promise<TestDatabase> {
  template ??= createTemplate(serverUrl)
  const name = `spike_test_${randomBytes(6).toString('hex')}`
  await onServer(serverUrl, `CREATE DATABASE ${name} TEMPLATE ${await template}`)
  return {
    url: databaseUrl(serverUrl, name),
    drop: () => onServer(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
}

/** An empty database, for tests of the migrations themselves. */
export async function createEmptyDatabase(serverUrl: string): Promise<TestDatabase> {
  const name = `spike_test_${randomBytes(6).toString('hex')}`
  await onServer(serverUrl, `CREATE DATABASE ${name}`)
  return {
    url: databaseUrl(serverUrl, name),
    drop: () => onServer(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
}

/** Drops the template at the end of a run. */
export async function dropTemplate(serverUrl: string): Promise<void> {
  if (template !== undefined)
    await onServer(serverUrl, `DROP DATABASE IF EXISTS ${await template} WITH (FORCE)`)
}

async function createTemplate(serverUrl: string): Promise<string> {
  await onServer(serverUrl, `CREATE DATABASE ${TEMPLATE}`)
  const knex = connect(databaseUrl(serverUrl, TEMPLATE))
  try {
    await knex.migrate.latest({ migrationSource })
  } finally {
    await knex.destroy()
  }
  return TEMPLATE
}

async function onServer(serverUrl: string, sql: string): Promise<void> {
  const knex = connect(serverUrl)
  try {
    await knex.raw(sql)
  } finally {
    await knex.destroy()
  }
}

function connect(url: string): Knex {
  return knexModule({ client: 'pg', connection: url, pool: { min: 0, max: 1 } })
}

function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}
