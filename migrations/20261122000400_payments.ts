import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- One attempt of a buyer to pay an order.
    CREATE TABLE payments (
      id         uuid PRIMARY KEY,
      order_id   uuid NOT NULL REFERENCES orders (id),
      provider   text NOT NULL,
      amount     bigint NOT NULL CHECK (amount >= 0),
      currency   char(3) NOT NULL,
      status     text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'captured', 'failed')),
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX payments_order ON payments (order_id);
    CREATE UNIQUE INDEX payments_one_pending ON payments (order_id) WHERE status = 'pending';

    -- What the provider told us, once for each of its transactions.
    CREATE TABLE payment_events (
      provider    text NOT NULL,
      txn_id      text NOT NULL,
      payment_id  uuid NOT NULL REFERENCES payments (id),
      kind        text NOT NULL CHECK (kind IN ('captured', 'failed')),
      amount      bigint NOT NULL,
      currency    char(3) NOT NULL,
      received_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (provider, txn_id)
    );
    CREATE INDEX payment_events_payment ON payment_events (payment_id);

    -- Money that was captured and may not be kept; one refund for each capture.
    CREATE TABLE refunds (
      id         uuid PRIMARY KEY,
      provider   text NOT NULL,
      txn_id     text NOT NULL,
      order_id   uuid NOT NULL REFERENCES orders (id),
      amount     bigint NOT NULL CHECK (amount >= 0),
      currency   char(3) NOT NULL,
      reason     text NOT NULL CHECK (reason IN ('order_closed', 'already_paid')),
      status     text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'done')),
      created_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT refunds_txn_unique UNIQUE (provider, txn_id),
      FOREIGN KEY (provider, txn_id) REFERENCES payment_events (provider, txn_id)
    );
    CREATE INDEX refunds_order ON refunds (order_id);
  `)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE refunds, payment_events, payments')
}
