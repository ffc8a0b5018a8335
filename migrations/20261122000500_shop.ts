import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Access tokens carry the version that the account had; older ones end when role, password or state change.
    ALTER TABLE users ADD COLUMN token_version integer NOT NULL DEFAULT 1;

    -- What every API process keeps in memory to refuse tokens without asking: oldest version that is still good.
    -- Written by triggers, so that no way of changing an account can forget it.
    CREATE TABLE user_revocations (
      user_id     uuid PRIMARY KEY,
      min_version integer NOT NULL,
      -- Of the transaction: readers ask for all that was not committed yet when they looked before.
      written_by  xid8 NOT NULL,
      revoked_at  timestamptz NOT NULL
    );
    CREATE INDEX user_revocations_written_by ON user_revocations (written_by);

    CREATE FUNCTION raise_token_version() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.token_version := OLD.token_version + 1;
      RETURN NEW;
    END $$;
    CREATE TRIGGER users_raise_token_version BEFORE UPDATE ON users FOR EACH ROW
      WHEN ((NEW.role, NEW.disabled, NEW.password_hash) IS DISTINCT FROM (OLD.role, OLD.disabled, OLD.password_hash))
      EXECUTE FUNCTION raise_token_version();

    -- Versions only rise, so the order in which a reader gets to see them does not matter.
    CREATE FUNCTION revoke_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO user_revocations (user_id, min_version, written_by, revoked_at)
      VALUES (OLD.id, CASE TG_OP WHEN 'DELETE' THEN 2147483647 ELSE NEW.token_version END,
              pg_current_xact_id(), clock_timestamp())
          ON CONFLICT (user_id) DO UPDATE
         SET min_version = EXCLUDED.min_version, written_by = EXCLUDED.written_by, revoked_at = EXCLUDED.revoked_at;
      RETURN NULL;
    END $$;
    CREATE TRIGGER users_revoke_tokens AFTER UPDATE ON users FOR EACH ROW
      WHEN (NEW.token_version <> OLD.token_version) EXECUTE FUNCTION revoke_tokens();
    CREATE TRIGGER users_revoke_tokens_of_deleted AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION revoke_tokens();

    -- The one token of a family that was not rotated is its head: it is what ends with the family. Long chains of
    -- rotated ones are only ever read from one end.
    DROP INDEX refresh_tokens_family;
    CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id, rotated_at);
    CREATE UNIQUE INDEX refresh_tokens_head ON refresh_tokens (user_id, family_id) WHERE rotated_at IS NULL;

    -- The second guard behind the stored replies: what a request with an idempotency key has made, noted in the
    -- transaction that made it.
    CREATE TABLE keyed_requests (
      user_id   uuid NOT NULL,
      operation text NOT NULL,
      key       text NOT NULL,
      result_id uuid NOT NULL,
      made_at   timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (user_id, operation, key)
    );
    CREATE INDEX keyed_requests_made_at ON keyed_requests (made_at);
    CREATE INDEX spike_orders_order ON spike_orders (order_id);

    -- A unit that late money has bought again enters Redis like any other reservation.
    ALTER TABLE outbox DROP CONSTRAINT outbox_topic_check,
      ADD CONSTRAINT outbox_topic_check CHECK (topic IN ('reservation.accepted', 'order.created', 'stock.released'));

    -- The provider executes refunds and tells when one is done.
    ALTER TABLE payment_events DROP CONSTRAINT payment_events_kind_check,
      ADD CONSTRAINT payment_events_kind_check CHECK (kind IN ('captured', 'failed', 'refunded'));
    ALTER TABLE refunds ADD COLUMN requested_at timestamptz, ADD COLUMN done_at timestamptz,
      ADD CONSTRAINT refunds_done CHECK ((status = 'done') = (done_at IS NOT NULL));
    CREATE INDEX refunds_open ON refunds (created_at) WHERE status = 'open';
  `)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    DROP INDEX refunds_open;
    ALTER TABLE refunds DROP CONSTRAINT refunds_done, DROP COLUMN requested_at, DROP COLUMN done_at;
    DELETE FROM payment_events WHERE kind = 'refunded';
    ALTER TABLE payment_events DROP CONSTRAINT payment_events_kind_check,
      ADD CONSTRAINT payment_events_kind_check CHECK (kind IN ('captured', 'failed'));
    DELETE FROM outbox WHERE topic = 'reservation.accepted';
    ALTER TABLE outbox DROP CONSTRAINT outbox_topic_check,
      ADD CONSTRAINT outbox_topic_check CHECK (topic IN ('order.created', 'stock.released'));
    DROP INDEX spike_orders_order;
    DROP TABLE keyed_requests;
    DROP TRIGGER users_raise_token_version ON users;
    DROP TRIGGER users_revoke_tokens ON users;
    DROP TRIGGER users_revoke_tokens_of_deleted ON users;
    DROP FUNCTION raise_token_version, revoke_tokens;
    DROP INDEX refresh_tokens_head;
    DROP INDEX refresh_tokens_family;
    CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
    DROP TABLE user_revocations;
    ALTER TABLE users DROP COLUMN token_version;
  `)
}
