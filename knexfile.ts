/**
 * Settings of the knex CLI: `npm run migrate`, `npm run seed`, or `npm run knex -- <command>`.
 * Works on the TypeScript sources and on the compiled files: migrations are known by their name without ending.
 */
import { existsSync, readdirSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Knex } from 'knex'

const here = fileURLToPath(new URL('.', import.meta.url))
const ending = extname(fileURLToPath(import.meta.url))

if (existsSync('.env')) process.loadEnvFile('.env')

/** Lists and loads the files of the migrations folder that have the same ending as this file. */
export const migrationSource: Knex.MigrationSource<string> = {
  getMigrations: async () =>
    readdirSync(join(here, 'migrations'))
      .filter((file) => extname(file) === ending)
      .sort(),
  getMigrationName: (file) => basename(file, ending),
  getMigration: (file) => import(pathToFileURL(join(here, 'migrations', file)).href),
}

const config: Knex.Config = {
  client: 'pg',
  // A function, so that only commands that use the database ask for its URL.
  connection: databaseUrl,
  pool: { min: 0, max: 2 },
  migrations: { migrationSource, extension: 'ts', stub: join(here, 'migrations', '.stub') },
  seeds: { directory: join(here, 'seeds'), loadExtensions: [ending] },
}

export default config

function databaseUrl(): { connectionString: string } {
  const url = process.env.DATABASE_URL
  if (url !== undefined && url !== '') return { connectionString: url }
  process.stderr.write('DATABASE_URL is missing: set it (see .env.example), or run `npm run stack`\n')
  process.exit(1)
}
