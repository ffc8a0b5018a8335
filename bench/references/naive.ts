/**
 * Reference: a purchase as it is written first. One transaction a request on the same tables: lock the event, look, write
 * the claim, the order and its item, take the unit, commit, answer. Its statements are prepared, its pool is as large as
 * that of the product's API.
 */
import { randomUUID } from 'node:crypto'
import { Router } from '@koa/router'
import Koa from 'koa'
import { Pool, type PoolClient } from 'pg'
import { POOL_MAX } from '../../src/contracts/pools.ts'
import { readApiToken, tokenKey } from '../../src/users/tokens.ts'

const { DATABASE_URL, JWT_SECRET = '', PORT } = process.env
const key = tokenKey(JWT_SECRET)
const pool = new Pool({ connectionString: DATABASE_URL, max: POOL_MAX.api })

const LOCK = `SELECT product_id, spike_price, currency, available,
                     status = 'published' AND now() BETWEEN start_at AND end_at AS open
                FROM spike_events WHERE id = $1 FOR UPDATE`
const CLAIM = `INSERT INTO spike_orders (reservation_id, event_id, user_id, order_id, quantity)
               VALUES ($1, $2, $3, $4, 1) ON CONFLICT DO NOTHING`
const ORDER = `INSERT INTO orders (id, user_id, event_id, reservation_id, amount, currency, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, now() + interval '1 hour')`
const ITEM =
  'INSERT INTO order_items (id, order_id, product_id, quantity, unit_price) VALUES ($1, $2, $3, 1, $4)'
const TAKE = 'UPDATE spike_events SET available = available - 1 WHERE id = $1'

/** @returns the id of the order, or why there is none */
async function order(
  client: PoolClient,
  eventId: string,
  userId: string,
): Promise<{ id: string } | { error: string }> {
  const run = (name: string, text: string, values: unknown[]) => client.query({ name, text, values })
  const { rows } = await run('lock', LOCK, [eventId])
  const [event] = rows
  if (event?.open !== true) return { error: 'SALE_ENDED' }
  if (event.available < 1) return { error: 'SOLD_OUT' }
  const id = randomUUID()
  const rid = randomUUID()
  const claim = await run('claim', CLAIM, [rid, eventId, userId, id])
  if (claim.rowCount === 0) return { error: 'ALREADY_PURCHASED' }
  await run('order', ORDER, [id, userId, eventId, rid, event.spike_price, event.currency])
  await run('item', ITEM, [randomUUID(), id, event.product_id, event.spike_price])
  await run('take', TAKE, [eventId])
  return { id }
}

async function inTransaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

const router = new Router()
router.post('/api/v1/spike-events/:id/orders', async (ctx) => {
  const claims = readApiToken(key, ctx.get('Authorization').replace(/^Bearer /, ''))
  if (claims === undefined) {
    ctx.status = 401
    return
  }
  const result = await inTransaction((client) => order(client, ctx.params.id ?? '', claims.sub))
  ctx.status = 'id' in result ? 201 : 409
  ctx.body = result
})

const app = new Koa()
app.use(router.routes())
app.listen(Number(PORT), '127.0.0.1', () => process.send?.('ready'))
process.on('disconnect', () => process.exit(0))
