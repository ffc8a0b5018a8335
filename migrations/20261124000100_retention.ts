import type { Knex } from 'knex'

/** The table is read and written meanwhile; an index can only be made so outside of a transaction. */
export const config = { transaction: false }

export async function up(knex: Knex): Promise<void> {
  // One that was broken off stays, and is not used.
  await knex.raw('DROP INDEX CONCURRENTLY IF EXISTS refresh_tokens_ended')
  // Families whose users never came back are deleted at their end.
  await knex.raw('CREATE INDEX CONCURRENTLY refresh_tokens_ended ON refresh_tokens (family_expires_at)')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX CONCURRENTLY IF EXISTS refresh_tokens_ended')
}
