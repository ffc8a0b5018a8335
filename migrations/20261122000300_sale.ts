import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- The row of a running sale is updated by every batch of orders: half of each page stays free for HOT updates.
    CREATE TABLE spike_events (
      id               uuid PRIMARY KEY,
      product_id       uuid NOT NULL REFERENCES products (id),
      status           text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'paused', 'ended')),
      start_at         timestamptz NOT NULL,
      end_at           timestamptz NOT NULL,
      spike_price      bigint NOT NULL CHECK (spike_price >= 0),
      currency         char(3) NOT NULL,
      stock            integer NOT NULL CHECK (stock >= 0),
      granted          integer NOT NULL DEFAULT 0 CHECK (granted >= 0),
      available        integer NOT NULL DEFAULT 0 CHECK (available >= 0),
      payment_window_s integer NOT NULL CHECK (payment_window_s > 0),
      per_user_limit   integer NOT NULL DEFAULT 1 CHECK (per_user_limit > 0),
      lapse_limit      integer NOT NULL DEFAULT 1 CHECK (lapse_limit >= 0),
      epoch            integer NOT NULL DEFAULT 0,
      version          integer NOT NULL DEFAULT 1,
      opened_at        timestamptz,
      ended_at         timestamptz,
      created_at       timestamptz NOT NULL DEFAULT now(),
      updated_at       timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT spike_events_window CHECK (end_at > start_at),
      CONSTRAINT spike_events_available_granted CHECK (available <= granted)
    ) WITH (fillfactor = 50);
    CREATE INDEX spike_events_product_window ON spike_events (product_id, start_at, end_at);
    CREATE INDEX spike_events_running ON spike_events (status) WHERE status IN ('published', 'paused');
    -- A rid ends like its event's id; see newRid.
    CREATE INDEX spike_events_tag ON spike_events (right(id::text, 8));
    COMMENT ON COLUMN spike_events.stock IS 'units asked for in the draft';
    COMMENT ON COLUMN spike_events.granted IS 'T: units ring-fenced, the sum of spike_event_adjustments';
    COMMENT ON COLUMN spike_events.available IS 'A: granted units without a live claim';

    -- Ledger of an event's granted stock. Each row is applied to Redis once, by its id.
    CREATE TABLE spike_event_adjustments (
      id         uuid PRIMARY KEY,
      event_id   uuid NOT NULL REFERENCES spike_events (id),
      delta      integer NOT NULL CHECK (delta <> 0),
      reason     text NOT NULL,
      actor_id   uuid REFERENCES users (id),
      applied_at timestamptz,
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX spike_event_adjustments_event ON spike_event_adjustments (event_id);
    CREATE INDEX spike_event_adjustments_unapplied ON spike_event_adjustments (event_id) WHERE applied_at IS NULL;

    -- Inbox and verdict in one: undecided when the bridge writes it, then ordered or void, once.
    -- No foreign keys: the inbox takes what was promised to buyers, create-order judges it.
    CREATE TABLE reservations (
      rid         uuid PRIMARY KEY,
      event_id    uuid NOT NULL,
      user_id     uuid NOT NULL,
      quantity    integer NOT NULL CHECK (quantity > 0),
      epoch       integer NOT NULL,
      reserved_at timestamptz NOT NULL,
      request_id  text NOT NULL,
      status      text NOT NULL DEFAULT 'undecided' CHECK (status IN ('undecided', 'ordered', 'void')),
      void_reason text,
      decided_at  timestamptz,
      received_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT reservations_verdict CHECK (
        (status = 'undecided') = (decided_at IS NULL) AND (status = 'void') = (void_reason IS NOT NULL))
    ) WITH (fillfactor = 80);
    CREATE INDEX reservations_undecided ON reservations (received_at) WHERE status = 'undecided';
    CREATE INDEX reservations_event_user ON reservations (event_id, user_id);

    CREATE FUNCTION refuse_second_verdict() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'reservation % has its verdict already: %', OLD.rid, OLD.status
        USING ERRCODE = 'integrity_constraint_violation';
    END $$;
    CREATE TRIGGER reservations_one_verdict BEFORE UPDATE ON reservations FOR EACH ROW
      WHEN (OLD.status <> 'undecided' AND (NEW.status, NEW.void_reason) IS DISTINCT FROM (OLD.status, OLD.void_reason))
      EXECUTE FUNCTION refuse_second_verdict();

    CREATE TABLE orders (
      id             uuid PRIMARY KEY,
      user_id        uuid NOT NULL REFERENCES users (id),
      event_id       uuid REFERENCES spike_events (id),
      reservation_id uuid,
      status         text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'paid', 'closed', 'refunded')),
      close_reason   text CHECK (close_reason IN ('lapsed', 'cancelled')),
      amount         bigint NOT NULL CHECK (amount >= 0),
      currency       char(3) NOT NULL,
      expires_at     timestamptz NOT NULL,
      paid_at        timestamptz,
      closed_at      timestamptz,
      created_at     timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT orders_reservation_unique UNIQUE (reservation_id),
      CONSTRAINT orders_closed CHECK ((status = 'closed') = (close_reason IS NOT NULL))
    ) WITH (fillfactor = 80);
    CREATE INDEX orders_overdue ON orders (expires_at) WHERE status = 'pending';
    CREATE INDEX orders_user ON orders (user_id, created_at DESC);
    CREATE INDEX orders_event ON orders (event_id);

    CREATE TABLE order_items (
      id         uuid PRIMARY KEY,
      order_id   uuid NOT NULL REFERENCES orders (id),
      product_id uuid NOT NULL REFERENCES products (id),
      quantity   integer NOT NULL CHECK (quantity > 0),
      unit_price bigint NOT NULL CHECK (unit_price >= 0)
    );
    CREATE INDEX order_items_order ON order_items (order_id);

    -- The claim of a buyer on an event; at most one is live.
    CREATE TABLE spike_orders (
      reservation_id uuid PRIMARY KEY,
      event_id       uuid NOT NULL REFERENCES spike_events (id),
      user_id        uuid NOT NULL REFERENCES users (id),
      order_id       uuid NOT NULL,
      quantity       integer NOT NULL CHECK (quantity > 0),
      live           boolean NOT NULL DEFAULT true,
      created_at     timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 80);
    CREATE UNIQUE INDEX spike_orders_one_live_claim ON spike_orders (event_id, user_id) WHERE live;
    CREATE INDEX spike_orders_lapses ON spike_orders (event_id, user_id) WHERE NOT live;

    -- Written in the transaction that makes the fact true; the relay publishes what has no published_at.
    CREATE TABLE outbox (
      id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      topic        text NOT NULL CHECK (topic IN ('order.created', 'stock.released')),
      key          uuid NOT NULL,
      payload      jsonb NOT NULL,
      created_at   timestamptz NOT NULL DEFAULT now(),
      published_at timestamptz,
      CONSTRAINT outbox_once UNIQUE (topic, key)
    );
    CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
  `)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    DROP TABLE outbox, spike_orders, order_items, orders, reservations, spike_event_adjustments, spike_events;
    DROP FUNCTION refuse_second_verdict();
  `)
}
