import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Money is integer minor units (cents, fen).
    CREATE TABLE products (
      id          uuid PRIMARY KEY,
      sku         text NOT NULL,
      name        text NOT NULL,
      description text NOT NULL DEFAULT '',
      price       bigint NOT NULL CHECK (price >= 0),
      currency    char(3) NOT NULL DEFAULT 'CNY' CHECK (currency = upper(currency)),
      version     integer NOT NULL DEFAULT 1,
      deleted_at  timestamptz,
      created_at  timestamptz NOT NULL DEFAULT now(),
      updated_at  timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT products_sku_unique UNIQUE (sku)
    );

    -- Units that are free to sell or to grant to a spike event.
    CREATE TABLE inventory (
      id         uuid PRIMARY KEY,
      product_id uuid NOT NULL REFERENCES products (id),
      stock      integer NOT NULL CHECK (stock >= 0),
      version    integer NOT NULL DEFAULT 1,
      updated_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE UNIQUE INDEX inventory_product_id ON inventory (product_id);

    -- Ledger: the sum of a product's deltas is its inventory.stock.
    CREATE TABLE inventory_movements (
      id         uuid PRIMARY KEY,
      product_id uuid NOT NULL REFERENCES products (id),
      delta      integer NOT NULL CHECK (delta <> 0),
      reason     text NOT NULL,
      reference  text,
      actor_id   uuid REFERENCES users (id),
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX inventory_movements_product_id ON inventory_movements (product_id, created_at);
  `)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE inventory_movements, inventory, products')
}
