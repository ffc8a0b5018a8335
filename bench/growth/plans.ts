/** What PostgreSQL does for everything that is read, on stores of one size. */
import { Client } from 'pg'
import { compose as composeDashboard } from '../../dashboard/compose.ts'
import { compose as composeApi } from '../../src/compose.ts'
import { readDuties } from '../../src/figures/duties.ts'
import { overdueOrders } from '../../src/orders/close.ts'
import { findReservations, undecidedReservations } from '../../src/orders/inbox.ts'
import { drainOutbox } from '../../src/orders/outbox.ts'
import { takeOpenRefunds } from '../../src/payments/refunds.ts'
import { loadConfig } from '../../src/platform/config.ts'
import { forgetMade } from '../../src/platform/postgres/once.ts'
import { examineEvent } from '../../src/reconcile.ts'
import { followedEventIds, overdueEventIds } from '../../src/spike-events/model.ts'
import { readingsOf, type Reading } from '../../test/support/readings.ts'
import { captureStatements, explain } from '../../test/support/statements.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import type { Arena } from '../lib/arena.ts'
import type { BenchWorld } from '../ratio.ts'
import type { Side } from './side.ts'

/** Twice a second, whatever is read beside it. */
const OF_EVERY_API = /user_revocations/

/** What one reading costs PostgreSQL: the sums of its statements. */
export interface Cost {
  name: string
  statements: number
  /** Touched, of 8 KB. */
  pages: number
  ms: number
  /** Tables that are read from end to end. */
  scanned: string[]
}

/** @returns the cost of every reading of API, dashboard and background work */
export async function readingCosts(world: BenchWorld, { arena }: Side): Promise<Cost[]> {
  const env = { ...arena.env, PORT: String(await freePort()), DASHBOARD_PORT: String(await freePort()) }
  const config = loadConfig(env)
  for (const compose of [composeApi, composeDashboard]) {
    const running = await compose(config, arena.log)
    world.cleanup(() => running.stop())
    await running.start()
  }
  const client = new Client({ connectionString: arena.config.databaseUrl })
  await client.connect()
  world.cleanup(() => client.end())
  const shown = {
    ...arena,
    apiUrl: `http://127.0.0.1:${config.port}`,
    dashboardUrl: `http://127.0.0.1:${config.dashboardPort}`,
  }
  const readings = [...(await readingsOf(shown)), ...(await backgroundReadings(arena))]
  const costs: Cost[] = []
  for (const reading of readings) costs.push(await costOf(reading, client))
  return costs
}

async function costOf({ name, read }: Reading, client: Client): Promise<Cost> {
  const capture = captureStatements()
  await read().finally(() => capture.stop())
  const cost: Cost = { name, statements: 0, pages: 0, ms: 0, scanned: [] }
  for (const statement of capture.take().filter(({ sql }) => !OF_EVERY_API.test(sql))) {
    const { buffers, ms, scanned } = await explain(client, statement, true)
    cost.statements++
    cost.pages += buffers
    cost.ms += ms
    cost.scanned = [...new Set([...cost.scanned, ...scanned])]
  }
  return cost
}

/** What the workers ask for again and again. */
async function backgroundReadings(arena: Arena): Promise<Reading[]> {
  const { knex } = arena
  const { id: eventId } = await knex('spike_events').where('status', 'published').orderBy('id').first('id')
  const rids: string[] = await knex('reservations').where('event_id', eventId).limit(200).pluck('rid')
  const readings: Record<string, () => Promise<unknown>> = {
    'relay: outbox': () => drainOutbox(knex, 500, async () => []),
    'relay: refunds': () => takeOpenRefunds(knex, 'simulated', 100),
    'relay: 200 rids': () => findReservations(knex, rids),
    'relay, sweep: sales to look after': () => followedEventIds(knex),
    'sweep: sales that are over': () => overdueEventIds(knex),
    'sweep: overdue orders': () => overdueOrders(knex, 200),
    'sweep: undecided reservations': () => undecidedReservations(knex, { olderThanS: 5, limit: 200 }),
    'sweep: notes of keys': () => forgetMade(knex),
    'sweep: one sale compared': () => examineEvent(arena, eventId),
    'metrics: duties': () => readDuties(knex),
  }
  return Object.entries(readings).map(([name, read]) => ({ name, read: async () => void (await read()) }))
}
