import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Everybody waits behind whoever waits for a table: rather try again than hold up a sale.
    SET LOCAL lock_timeout = '3s';

    -- A viewer sees what operators see, and changes nothing. All rows are good already; the next migration checks them.
    ALTER TABLE users DROP CONSTRAINT users_role_check;
    ALTER TABLE users ADD CONSTRAINT users_role_check
      CHECK (role IN ('user', 'viewer', 'operator', 'admin')) NOT VALID;

    -- Sessions of the dashboard that were logged out before their end; kept until it.
    CREATE TABLE ended_sessions (
      id         uuid PRIMARY KEY,
      expires_at timestamptz NOT NULL
    );
    CREATE INDEX ended_sessions_expires_at ON ended_sessions (expires_at);

    -- W3C trace context of the request that made the reservation; what happens to it later joins the same trace.
    ALTER TABLE reservations ADD COLUMN traceparent text;
  `)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    ALTER TABLE reservations DROP COLUMN traceparent;
    DROP TABLE ended_sessions;
    UPDATE users SET role = 'user' WHERE role = 'viewer';
    ALTER TABLE users DROP CONSTRAINT users_role_check;
    ALTER TABLE users ADD CONSTRAINT users_role_check CHECK (role IN ('user', 'operator', 'admin'));
  `)
}
