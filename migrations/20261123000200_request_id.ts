import type { Knex } from 'knex'

/** Large tables are read meanwhile, and written too; an index can only be made so outside of a transaction. */
export const config = { transaction: false }

export async function up(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE users VALIDATE CONSTRAINT users_role_check')
  // One that was broken off stays, and is not used.
  await knex.raw('DROP INDEX CONCURRENTLY IF EXISTS reservations_request_id')
  // People look a purchase up by the request id that an answer or a log line names.
  await knex.raw('CREATE INDEX CONCURRENTLY reservations_request_id ON reservations (request_id)')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX CONCURRENTLY IF EXISTS reservations_request_id')
}
