import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    CREATE TABLE users (
      id            uuid PRIMARY KEY,
      email         text NOT NULL CHECK (email = lower(email)),
      password_hash text NOT NULL,
      role          text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'operator', 'admin')),
      disabled      boolean NOT NULL DEFAULT false,
      created_at    timestamptz NOT NULL DEFAULT now(),
      updated_at    timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT users_email_unique UNIQUE (email)
    );

    -- Only hashes of refresh tokens are kept. All tokens that come from one login form a family.
    CREATE TABLE refresh_tokens (
      id         uuid PRIMARY KEY,
      user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
      family_id  uuid NOT NULL,
      token_hash bytea NOT NULL,
      expires_at timestamptz NOT NULL,
      family_expires_at timestamptz NOT NULL,
      rotated_at timestamptz,
      revoked_at timestamptz,
      created_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT refresh_tokens_hash_unique UNIQUE (token_hash)
    );
    CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
    CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id);

    -- Who did what to what, and what it was before. Rows are only ever added.
    CREATE TABLE audit_log (
      id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      actor_id   uuid REFERENCES users (id),
      action     text NOT NULL,
      target     text NOT NULL,
      before     jsonb,
      after      jsonb,
      request_id text,
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX audit_log_target ON audit_log (target, id);
  `)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE audit_log, refresh_tokens, users')
}
