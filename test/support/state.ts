/** All that a purchase, a payment or a message may change, as one value that tests compare. */
import type { World } from './world.ts'
import { until } from './wait.ts'

const TABLES = [
  'users',
  'refresh_tokens',
  'user_revocations',
  'products',
  'spike_events',
  'spike_event_adjustments',
  'inventory',
  'inventory_movements',
  'reservations',
  'spike_orders',
  'orders',
  'order_items',
  'outbox',
  'payments',
  'payment_events',
  'refunds',
  'audit_log',
  'keyed_requests',
]

export interface StoredState {
  /** Redis keys of the events, as Redis dumps them. */
  redis: Record<string, string>
  /** Number of rows and a digest of their content, by table. */
  tables: Record<string, string>
}

/** Reads the state of these events in Redis, and every row of the database. */
export async function stateOf(world: World, ...eventIds: string[]): Promise<StoredState> {
  const redis: Record<string, string> = {}
  for (const id of eventIds) {
    const keys = await world.redis.keys(`{spike:${id}}:*`)
    // How often something was asked for is counted in there, refusals too, up to a second later.
    const kept = keys.filter((key) => !key.includes(':outcomes'))
    for (const key of kept.toSorted()) {
      const dump = await world.redis.dumpBuffer(key)
      redis[key] = dump?.toString('base64') ?? 'gone'
    }
  }
  const tables: Record<string, string> = {}
  for (const table of TABLES) {
    const { rows } = await world.knex.raw(
      `SELECT count(*) || ' rows, ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS digest FROM ?? t`,
      [table],
    )
    tables[table] = rows[0].digest
  }
  return { redis, tables }
}

/** Waits until nothing of these events is under way: every reservation decided and applied, every outbox row sent. */
export async function atRest(world: World, ...eventIds: string[]): Promise<void> {
  await until('the events to be at rest', async () => {
    // Redis first: an entry leaves the log behind its verdict, so that PostgreSQL knows of all whose entry is gone.
    for (const id of eventIds) if ((await world.redis.xlen(`{spike:${id}}:log`)) > 0) return false
    const [undecided, unsent] = await Promise.all([
      world.knex('reservations').where('status', 'undecided').first('rid'),
      world.knex('outbox').whereNull('published_at').first('id'),
    ])
    return undecided === undefined && unsent === undefined
  })
}
