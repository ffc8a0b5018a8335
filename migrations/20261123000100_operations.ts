import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- A viewer sees what operators see, and changes nothing.
    ALTER TABLE users DROP CONSTRAINT users_role_check;
    ALTER TABLE users ADD CONSTRAINT users_role_check CHECK (role IN ('user', 'viewer', 'operator', 'admin'));

    -- Sessions of the dashboard that were logged out before their end; kept until it.
    CREATE TABLE ended_sessions (
      id         uuid PRIMARY KEY,
      expires_at timestamptz NOT NULL
    );
    CREATE INDEX ended_sessions_expires_at ON ended_sessions (expires_at);

    -- W3C trace context of the request that made the reservation; what happens to it later joins the same trace.
    ALTER TABLE reservations ADD COLUMN traceparent text;
    -- People look a purchase up by the request id that an answer or a log line names.
    CREATE INDEX reservations_request_id ON reservations USING hash (request_id);
  `)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    DROP INDEX reservations_request_id;
    ALTER TABLE reservations DROP COLUMN traceparent;
    DROP TABLE ended_sessions;
    UPDATE users SET role = 'user' WHERE role = 'viewer';
    ALTER TABLE users DROP CONSTRAINT users_role_check;
    ALTER TABLE users ADD CONSTRAINT users_role_check CHECK (role IN ('user', 'operator', 'admin'));
  `)
}
