import type { Knex } from 'knex'

/** Large tables are read meanwhile, and written too; an index can only be made so outside of a transaction. */
export const config = { transaction: false }

const INDEXES: Record<string, string> = {
  // Background work asks every second which sales have orders that are still open, of all sales there ever were.
  orders_event_status: 'orders (event_id, status)',
  // The list of accounts, the newest first, whole or of those with a role or a state; what it counts is in the index.
  users_created_at: 'users (created_at, id) INCLUDE (disabled)',
  users_role: 'users (role, created_at, id)',
  users_disabled: 'users (created_at, id) WHERE disabled',
}
const SEARCH = { users_email_search: 'users USING gin (email gin_trgm_ops)' }

export async function up(knex: Knex): Promise<void> {
  const indexes = (await hasTrigrams(knex)) ? { ...INDEXES, ...SEARCH } : INDEXES
  for (const [name, what] of Object.entries(indexes)) {
    // One that was broken off stays, and is not used.
    await knex.raw(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`)
    await knex.raw(`CREATE INDEX CONCURRENTLY ${name} ON ${what}`)
  }
  await knex.raw('DROP INDEX CONCURRENTLY IF EXISTS orders_event')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('CREATE INDEX CONCURRENTLY orders_event ON orders (event_id)')
  for (const name of Object.keys({ ...INDEXES, ...SEARCH }))
    await knex.raw(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`)
  await knex.raw('DROP EXTENSION IF EXISTS pg_trgm')
}

/**
 * Searching accounts by a part of their e-mail takes an extension that comes with PostgreSQL, and that whoever owns the
 * database may switch on. Without it the search reads all accounts, as it did before.
 */
async function hasTrigrams(knex: Knex): Promise<boolean> {
  const { rows } = await knex.raw(`SELECT FROM pg_available_extensions WHERE name = 'pg_trgm'`)
  if (rows.length === 0) return false
  try {
    await knex.raw('CREATE EXTENSION IF NOT EXISTS pg_trgm')
    return true
  } catch (error) {
    if ((error as { code?: string }).code === INSUFFICIENT_PRIVILEGE) return false
    throw error
  }
}

const INSUFFICIENT_PRIVILEGE = '42501'
