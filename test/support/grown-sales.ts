/**
 * Stores that have grown: sales, buyers, reservations, orders and all that belongs to them, made by sets instead of one
 * by one. What the stores say agrees with each other, as if the buyers had come and gone.
 */
import { randomInt } from 'node:crypto'
import type { RedisClient } from '../../src/platform/redis/nodes.ts'
import knexModule, { type Knex } from 'knex'
import { closeOrderJob } from '../../src/contracts/jobs/close-order.ts'
import { claimsOfEvent, type ReservationClaim } from '../../src/orders/claims.ts'
import { JobProducer } from '../../src/platform/bullmq/job.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { chunksOf } from '../../src/reserve/rebuilding.ts'
import { encodeRecord, type UnitState } from '../../src/reserve/record.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'

export interface Size {
  events: number
  /**
   * Of all events, as `soldBy` deals them out. Each has become an order: one in ten pends, one in ten has lapsed, the others
   * are paid.
   */
  reservations: number
}

/**
 * How many reservations the first events have together. Each has a few more than the one before, from half the average to
 * one and a half of it: equal ones would all make their Redis hashes larger at the same moment.
 */
export function soldBy(nth: number, { events, reservations }: Size): number {
  return Math.floor((reservations * nth * (events + nth)) / (2 * events ** 2))
}

/** Units of each sale, more than anybody takes. */
const GRANTED = 1_000_000
const EVENTS_AT_ONCE = 4

/**
 * Fills an empty database: every buyer with one purchase, every sale running. Sales follow each other in time, so the
 * rows of one lie beside each other.
 * @returns ids of the events
 */
export async function growPostgres(databaseUrl: string, { events, reservations }: Size): Promise<string[]> {
  const knex = knexModule({ client: 'pg', connection: databaseUrl, pool: { min: 0, max: 1 } })
  try {
    const values = {
      events,
      sold: Array.from({ length: events + 1 }, (_, n) => soldBy(n, { events, reservations })),
      salt: randomInt(1 << 27),
      granted: GRANTED,
    }
    await knex.transaction(async (trx) => {
      await trx.raw(FUNCTIONS_SQL)
      // What refers to what is right by its making; checking it row by row takes most of the time.
      await trx.raw(
        `SELECT set_config('maintenance_work_mem', '256MB', true), set_config('session_replication_role', 'replica', true) FROM pg_roles WHERE rolname = current_user AND rolsuper`,
      )
      const indexes: { name: string; definition: string }[] = (await trx.raw(INDEXES_SQL)).rows
      for (const { name } of indexes) await trx.raw('DROP INDEX ??', [name])
      for (const sql of FILL_SQL) await trx.raw(sql, values)
      for (const { definition } of indexes) await trx.raw(definition)
    })
    for (const table of TABLES) await knex.raw(`VACUUM ANALYZE ${table}`)
    const rows: { id: string }[] = await knex('spike_events').orderBy('id').select('id')
    return rows.map(({ id }) => id)
  } finally {
    await knex.destroy()
  }
}

const TABLES = [
  'users',
  'refresh_tokens',
  'audit_log',
  'user_revocations',
  'keyed_requests',
  'products',
  'inventory',
  'inventory_movements',
  'spike_events',
  'spike_event_adjustments',
  'reservations',
  'orders',
  'order_items',
  'spike_orders',
  'outbox',
  'payments',
  'payment_events',
  'refunds',
]

/** Those that are no constraints: made anew they take a part of the time that keeping them takes. */
const INDEXES_SQL = `
  SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
   WHERE t.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE 'knex_%'
     AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
   ORDER BY i.indexrelid`

/** Ids as ours are: by time first, and a rid ends like the id of its event. */
const FUNCTIONS_SQL = `
  CREATE FUNCTION pg_temp.id_of(kind int, ms bigint, high bigint, low bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || 'a'
            || lpad(to_hex(high), 7, '0') || lpad(to_hex(low), 8, '0'))::uuid
  $$`

const FILL_SQL = [
  `CREATE TEMP TABLE sales ON COMMIT DROP AS
   SELECT n, now() AS made_at, pg_temp.id_of(1, base_ms, :salt, n) AS event_id, pg_temp.id_of(2, base_ms, :salt, n) AS product_id,
          (:sold::bigint[])[n] AS sold_before, (:sold::bigint[])[n + 1] AS sold_then
     FROM generate_series(1, :events::int) n,
          (SELECT floor(extract(epoch FROM now()) * 1000)::bigint - 1800000 AS base_ms) base`,
  `CREATE TEMP TABLE sold ON COMMIT DROP AS
   SELECT seq, event_id, product_id, at, pg_temp.id_of(3, ms, seq, n) AS rid, pg_temp.id_of(4, ms, 0, seq) AS order_id,
          pg_temp.id_of(5, ms, 0, seq) AS user_id,
          CASE seq % 10 WHEN 0 THEN 'pending' WHEN 1 THEN 'closed' ELSE 'paid' END AS status,
          at + CASE WHEN seq % 10 = 1 THEN interval '1 second' ELSE interval '2 hours' END AS expires_at
     FROM (SELECT s.*, seq, base_ms + seq AS ms, to_timestamp((base_ms + seq) / 1000.0) AS at
             FROM sales s, generate_series(sold_before + 1, sold_then) seq,
                  (SELECT floor(extract(epoch FROM now()) * 1000)::bigint - 1800000 AS base_ms) base
            ORDER BY n, seq) numbered`,
  `INSERT INTO users (id, email, password_hash, created_at, updated_at)
   SELECT user_id, 'buyer-' || seq || '@grown.test', 'nobody', at, at FROM sold`,
  `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, family_expires_at)
   SELECT order_id, user_id, rid, uuid_send(rid), at + interval '1 day', at + interval '30 days' FROM sold WHERE seq % 10 = 2`,
  `INSERT INTO user_revocations (user_id, min_version, written_by, revoked_at)
   SELECT user_id, 1, pg_current_xact_id(), at FROM sold WHERE seq % 10 = 3`,
  `INSERT INTO keyed_requests (user_id, operation, key, result_id, made_at)
   SELECT user_id, 'order', 'key-' || seq, order_id, at FROM sold WHERE seq % 10 = 4`,
  `INSERT INTO products (id, sku, name, price, created_at)
   SELECT product_id, 'GROWN-' || n, 'Grown ' || n, 1000, made_at + n * interval '1 ms' FROM sales`,
  `INSERT INTO inventory (id, product_id, stock) SELECT product_id, product_id, 1000 FROM sales`,
  `INSERT INTO inventory_movements (id, product_id, delta, reason)
   SELECT event_id, product_id, 1000, 'grown' FROM sales
   UNION ALL SELECT rid, product_id, CASE seq % 4 WHEN 2 THEN 1 ELSE -1 END, 'ordered' FROM sold WHERE seq % 10 = 6`,
  `INSERT INTO spike_events (id, product_id, status, start_at, end_at, spike_price, currency, stock, granted, available,
                             payment_window_s, epoch, opened_at)
   SELECT event_id, product_id, 'published', made_at - interval '1 hour', made_at + interval '1 hour', 500, 'CNY',
          :granted, :granted, :granted - coalesce(taken.units, 0),
          7200, 1, made_at
     FROM sales
     LEFT JOIN (SELECT event_id, count(*) AS units FROM sold WHERE status <> 'closed' GROUP BY 1) taken USING (event_id)`,
  `INSERT INTO spike_event_adjustments (id, event_id, delta, reason, applied_at)
   SELECT product_id, event_id, :granted, 'published', now() FROM sales`,
  `INSERT INTO audit_log (action, target, request_id, created_at)
   SELECT 'spike-event.pause', event_id, 'grown-' || seq, at FROM sold WHERE seq % 10 = 5`,
  `INSERT INTO reservations (rid, event_id, user_id, quantity, epoch, reserved_at, request_id, status, decided_at, received_at)
   SELECT rid, event_id, user_id, 1, 1, at, 'request-' || seq, 'ordered', at + interval '20 ms', at + interval '5 ms' FROM sold`,
  `INSERT INTO orders (id, user_id, event_id, reservation_id, status, close_reason, amount, currency, expires_at, paid_at,
                       closed_at, created_at)
   SELECT order_id, user_id, event_id, rid, status, CASE WHEN status = 'closed' THEN 'lapsed' END, 500, 'CNY', expires_at,
          CASE WHEN status = 'paid' THEN at + interval '1 second' END,
          CASE WHEN status = 'closed' THEN at + interval '1 second' END, at + interval '20 ms'
     FROM sold`,
  `INSERT INTO order_items (id, order_id, product_id, quantity, unit_price)
   SELECT rid, order_id, product_id, 1, 500 FROM sold`,
  `INSERT INTO spike_orders (reservation_id, event_id, user_id, order_id, quantity, live, created_at)
   SELECT rid, event_id, user_id, order_id, 1, status <> 'closed', at + interval '20 ms' FROM sold`,
  `INSERT INTO outbox (topic, key, payload, created_at, published_at)
   SELECT 'order.created', order_id,
          jsonb_build_object('order_id', order_id, 'expires_at_ms', floor(extract(epoch FROM expires_at) * 1000)::bigint),
          at + interval '20 ms', at + interval '60 ms'
     FROM sold`,
  `INSERT INTO outbox (topic, key, payload, created_at, published_at)
   SELECT 'stock.released', rid, jsonb_build_object('rid', rid, 'event_id', event_id, 'user_id', user_id, 'quantity', 1,
            'reason', 'lapsed'), at + interval '1 second', at + interval '1.06 seconds'
     FROM sold WHERE status = 'closed'`,
  `INSERT INTO payments (id, order_id, provider, amount, currency, status, created_at)
   SELECT rid, order_id, 'simulated', 500, 'CNY', 'captured', at + interval '500 ms' FROM sold
    WHERE status <> 'pending'`,
  `INSERT INTO payment_events (provider, txn_id, payment_id, kind, amount, currency, received_at)
   SELECT 'simulated', 'txn-' || rid, rid, 'captured', 500, 'CNY', at + interval '2 seconds' FROM sold
    WHERE status <> 'pending'`,
  // Money that came too late for an order that had lapsed.
  `INSERT INTO refunds (id, provider, txn_id, order_id, amount, currency, reason, status, requested_at, done_at, created_at)
   SELECT rid, 'simulated', 'txn-' || rid, order_id, 500, 'CNY', 'order_closed', 'done', at, at, at + interval '2 seconds'
     FROM sold WHERE status = 'closed'`,
]

/**
 * Nine of ten sales have been over for two days, with all their orders paid and all their units back: what background
 * work has to find the others among.
 */
export async function retireSales(databaseUrl: string): Promise<void> {
  const knex = knexModule({ client: 'pg', connection: databaseUrl, pool: { min: 0, max: 1 } })
  try {
    await knex.transaction(async (trx) => {
      await trx.raw(
        `CREATE TEMP TABLE retired ON COMMIT DROP AS
         SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS nth, count(*) OVER () AS total FROM spike_events) e
          WHERE nth <= total * 9 / 10`,
      )
      await trx.raw(
        `UPDATE orders SET status = 'paid', paid_at = created_at + interval '2 seconds'
          WHERE status = 'pending' AND event_id IN (SELECT id FROM retired)`,
      )
      await trx.raw(
        `INSERT INTO spike_event_adjustments (id, event_id, delta, reason, applied_at)
         SELECT id, id, -available, 'returned to inventory', now() FROM spike_events WHERE id IN (SELECT id FROM retired)`,
      )
      await trx.raw(
        `UPDATE spike_events SET status = 'ended', granted = granted - available, available = 0,
                end_at = now() - interval '2 days', start_at = now() - interval '3 days', ended_at = now() - interval '2 days'
          WHERE id IN (SELECT id FROM retired)`,
      )
    })
    for (const table of ['orders', 'spike_events', 'spike_event_adjustments'])
      await knex.raw(`VACUUM ANALYZE ${table}`)
  } finally {
    await knex.destroy()
  }
}

interface RedisSide {
  knex: Knex
  redis: RedisClient
  scripts: Pick<Scripts<typeof spikeScripts>, 'open'>
}

/** Brings Redis to what PostgreSQL says of these events. */
export async function growRedis(side: RedisSide, eventIds: readonly string[]): Promise<void> {
  const waiting = [...eventIds]
  const work = async (): Promise<void> => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await growEvent(side, id)
  }
  await Promise.all(Array.from({ length: EVENTS_AT_ONCE }, work))
}

async function growEvent({ knex, redis, scripts }: RedisSide, eventId: string): Promise<void> {
  const event = await knex('spike_events').where('id', eventId).first()
  await scripts.open({
    eventId,
    epoch: event.epoch,
    status: 'open',
    startMs: event.start_at.getTime(),
    endMs: event.end_at.getTime(),
    granted: event.granted,
    perUserLimit: event.per_user_limit,
    lapseLimit: event.lapse_limit,
  })
  const keys = spikeKeys(eventId)
  const claims = await claimsOfEvent(knex, eventId)
  const live = claims.filter(({ state }) => state === 'live')
  for (const chunk of chunksOf(claims)) {
    await redis.hset(keys.states, ...chunk.flatMap((claim) => [claim.rid, recordOf(claim)]))
    const holders = chunk.filter(({ state }) => state === 'live').flatMap(({ userId, rid }) => [userId, rid])
    if (holders.length > 0) await redis.hset(keys.holders, ...holders)
    const lapses = chunk.filter(({ state }) => state === 'gone').flatMap(({ userId }) => [userId, 1])
    if (lapses.length > 0) await redis.hset(keys.lapses, ...lapses)
  }
  await redis.set(keys.stock, event.available)
  await redis.hset(keys.gate, 'paid', live.filter(({ orderStatus }) => orderStatus === 'paid').length)
}

function recordOf({ orderId, expiresAtMs, reason, ...claim }: ReservationClaim): string {
  const state: UnitState =
    claim.state === 'gone' ? 'released' : claim.orderStatus === 'paid' ? 'paid' : 'confirmed'
  return encodeRecord({
    ...claim,
    state,
    orderId: orderId ?? undefined,
    expiresAtMs: expiresAtMs ?? undefined,
    reason: reason ?? undefined,
  })
}

/** Adds the delayed job of every pending order. @returns how many */
export async function growJobs(deps: {
  knex: Knex
  queueRedis: RedisClient
  namespace: string
}): Promise<number> {
  const { knex, queueRedis, namespace } = deps
  const producer = new JobProducer(closeOrderJob, namespace, queueRedis)
  const pending: { id: string; in_ms: number }[] = await knex('orders')
    .where('status', 'pending')
    .select('id', knex.raw('(extract(epoch FROM expires_at - now()) * 1000)::bigint AS in_ms'))
  for (const chunk of chunksOf(pending))
    await producer.addBulk(chunk.map((order) => ({ payload: { order_id: order.id }, delayMs: order.in_ms })))
  await producer.close()
  return pending.length
}
