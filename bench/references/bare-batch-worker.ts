/**
 * Limit, not reference: a worker that makes of each batch of jobs what an order cannot do without, in one prepared
 * statement: claim, order and item with their keys, the verdict, the units of the event. It refuses nobody, leaves
 * nothing in the outbox and tells Redis nothing. What the product's step does besides comes on top of this.
 */
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { POOL_MAX } from '../../src/contracts/pools.ts'
import { createBatcher } from '../../src/platform/batcher.ts'

const { REDIS_URL = '', QUEUE_REDIS_URL = REDIS_URL, DATABASE_URL, NAMESPACE = '' } = process.env
const { CONCURRENCY, QUEUE = '' } = process.env

const ORDERS = `
  WITH input AS (
    SELECT i.*, r.event_id, r.user_id, r.quantity, e.product_id, e.spike_price, e.currency, e.payment_window_s
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS i (rid, order_id, item_id)
      JOIN reservations r ON r.rid = i.rid JOIN spike_events e ON e.id = r.event_id
  ), claims AS (
    INSERT INTO spike_orders (reservation_id, event_id, user_id, order_id, quantity)
    SELECT rid, event_id, user_id, order_id, quantity FROM input
  ), made AS (
    INSERT INTO orders (id, user_id, event_id, reservation_id, amount, currency, expires_at)
    SELECT order_id, user_id, event_id, rid, spike_price * quantity, currency,
           now() + payment_window_s * interval '1 second' FROM input
  ), items AS (
    INSERT INTO order_items (id, order_id, product_id, quantity, unit_price)
    SELECT item_id, order_id, product_id, quantity, spike_price FROM input
  ), verdicts AS (
    UPDATE reservations SET status = 'ordered', decided_at = clock_timestamp() WHERE rid = ANY($1)
  )
  UPDATE spike_events e SET available = available - taken.units
    FROM (SELECT event_id, sum(quantity) AS units FROM input GROUP BY event_id) AS taken
   WHERE e.id = taken.event_id`

const pool = new Pool({ connectionString: DATABASE_URL, max: POOL_MAX.workers })
const order = createBatcher<string, string>({
  serve: async (rids) => {
    const ids = () => rids.map(() => uuidv7())
    await pool.query({ name: 'orders', text: ORDERS, values: [rids, ids(), ids()] })
    return rids
  },
  blamesAll: () => true,
  maxBatch: 100,
  maxWaitMs: 4,
})

const connection = new Redis(QUEUE_REDIS_URL, { maxRetriesPerRequest: null })
const worker = new Worker(QUEUE, async ({ data }) => void (await order(data.rid)), {
  connection,
  prefix: `{${NAMESPACE}:create-order}`,
  concurrency: Number(CONCURRENCY),
})
worker.on('error', (error) => process.stderr.write(`${error.message}\n`))
worker.on('failed', (_job, error) => process.stderr.write(`${error.message}\n`))
await worker.waitUntilReady()
process.send?.('ready')
process.on('disconnect', () => process.exit(0))
