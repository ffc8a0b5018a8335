/** Buyers who have bought already, many at once: straight into the database, as the product's own steps would have left them. */
import type { Knex } from 'knex'

/**
 * Gives this many new buyers a unit of the event each, every second one paid, and takes the units out of its stock. Redis
 * does not know of them until the event is rebuilt.
 */
export async function addHolders(knex: Knex, eventId: string, count: number): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw('SET LOCAL statement_timeout = 0')
    for (const step of STEPS) await trx.raw(step, { eventId, count })
  })
}

// A rid begins with its time and ends like its event's id.
const STEPS = [
  `CREATE TEMPORARY TABLE holders ON COMMIT DROP AS
   SELECT n, n % 2 = 0 AS is_paid, gen_random_uuid() AS user_id, gen_random_uuid() AS order_id,
          (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') ||
           '8' || lpad(to_hex(n), 7, '0') || right(:eventId, 8))::uuid AS rid
     FROM generate_series(1, :count::int) AS n`,
  `INSERT INTO users (id, email, password_hash)
   SELECT user_id, 'holder-' || user_id || '@spike.test', 'nobody knows it' FROM holders`,
  `INSERT INTO reservations (rid, event_id, user_id, quantity, epoch, reserved_at, request_id, status, decided_at)
   SELECT rid, :eventId, user_id, 1, 1, now(), 'holders', 'ordered', now() FROM holders`,
  `INSERT INTO orders (id, user_id, event_id, reservation_id, status, amount, currency, expires_at, paid_at)
   SELECT h.order_id, h.user_id, e.id, h.rid, CASE WHEN is_paid THEN 'paid' ELSE 'pending' END, e.spike_price, e.currency,
          now() + interval '1 hour', CASE WHEN is_paid THEN now() END
     FROM holders h JOIN spike_events e ON e.id = :eventId`,
  `INSERT INTO order_items (id, order_id, product_id, quantity, unit_price)
   SELECT gen_random_uuid(), h.order_id, e.product_id, 1, e.spike_price
     FROM holders h JOIN spike_events e ON e.id = :eventId`,
  `INSERT INTO spike_orders (reservation_id, event_id, user_id, order_id, quantity)
   SELECT rid, :eventId, user_id, order_id, 1 FROM holders`,
  `UPDATE spike_events SET available = available - :count WHERE id = :eventId`,
]
