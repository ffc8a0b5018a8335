/**
 * How long the product takes to be itself again after an outage, with its processes running and a few purchases every
 * second. Where a server has to start again, its own start is part of the time. No proxies: nothing hides the outage.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Queue } from 'bullmq'
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import type { ShopClient } from '../../client/index.ts'
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { oversold } from '../../src/figures/invariants.ts'
import { inSnapshot, readLedger } from '../../src/figures/ledger.ts'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { bearer, createApiClient, dataOf } from '../../tools/lib/api-client.ts'
import { makeBuyers, type LoadBuyer } from '../../tools/lib/buyers.ts'
import { Cleanup } from '../../tools/lib/command.ts'
import { randomOf } from '../support/random.ts'
import { until } from '../support/wait.ts'
import { onRedis, type Cell } from './cell.ts'
import { addHolders } from './holders.ts'
import { openSupervisor, type Supervisor } from './supervisor.ts'
import { startTrickle, type Purchase, type Trickle } from './trickle.ts'

export interface RecoveryRow {
  what: string
  goalS: number
  /** Seconds, one for each round. */
  measured: number[]
}

const ROUNDS = 3
const HOLDERS = 100_000
const NAMESPACE = 'recovery'
const EVERY_MS = 40
const WITHIN_MS = 60_000
/** Longer than a worker's blocking read and its lock. */
const QUEUE_REDIS_DOWN_MS = 15_000
/** More than a worker takes in hand, and how many of their jobs have to wait then. */
const CROWD = 600
const WAITING_JOBS = 100

/** A running shop with one sale, and somebody who buys. */
interface Shop {
  cell: Cell
  knex: Knex
  supervisor: Supervisor
  client: ShopClient
  eventId: string
  /** Those who have not come yet. */
  buyers: IterableIterator<LoadBuyer>
  trickle: Trickle
}

interface Drill {
  what: string
  goalS: number
  /** One outage and its end. @returns when the clock began, and when all was well */
  round: (shop: Shop) => Promise<{ fromMs: number; toMs: number }>
}

const DRILLS: readonly Drill[] = [
  {
    what: 'Redis killed and restarted: from the kill until a purchase is accepted',
    goalS: 2,
    round: redisDies,
  },
  {
    what: 'PostgreSQL killed and restarted: from the kill until an order is decided',
    goalS: 10,
    round: postgresDies,
  },
  {
    what: 'RabbitMQ killed and restarted: from the kill until a purchase is answered `queued`',
    goalS: 15,
    round: rabbitDies,
  },
  {
    what: 'queue Redis down for 15 s: from its return until an order is decided',
    goalS: 5,
    round: queueRedisReturns,
  },
  {
    what: 'worker killed with a job in hand: from the kill until that job is done',
    goalS: 20,
    round: workerDies,
  },
  {
    what: 'queue Redis lost whole: from the loss until everybody who was told `queued` has a verdict',
    goalS: 20,
    round: queueRedisLost,
  },
]

const DRILLS_WITH_HOLDERS: readonly Drill[] = [
  {
    what: 'stock Redis lost whole with 100,000 holders: from the loss until a purchase is accepted',
    goalS: 15,
    round: stockRedisLost,
  },
]

/** Measures every recovery that has a goal. @throws when one takes longer than a minute, or something was oversold */
export async function measureRecovery(cell: Cell, say: (line: string) => void): Promise<RecoveryRow[]> {
  return [
    ...(await measure(cell, say, DRILLS, 0)),
    ...(await measure(cell, say, DRILLS_WITH_HOLDERS, HOLDERS)),
  ]
}

/** The rows as a table in Markdown. */
export function recoveryMarkdown(rows: readonly RecoveryRow[]): string {
  const lines = rows.map(
    ({ what, goalS, measured }) =>
      `| ${what} | ${goalS} s | ${measured.map((s) => s.toFixed(1)).join(', ')} s |`,
  )
  return ['| recovery | goal | measured |', '|---|---|---|', ...lines, ''].join('\n')
}

async function measure(
  cell: Cell,
  say: (line: string) => void,
  drills: readonly Drill[],
  holders: number,
): Promise<RecoveryRow[]> {
  const cleanup = new Cleanup()
  try {
    await cell.reset()
    const shop = await openShop(cell, holders, cleanup)
    const rows: RecoveryRow[] = []
    for (const { what, goalS, round } of drills) {
      const measured: number[] = []
      while (measured.length < ROUNDS) {
        await calm(shop)
        const { fromMs, toMs } = await round(shop)
        measured.push((toMs - fromMs) / 1_000)
      }
      say(`${what}: ${measured.map((s) => s.toFixed(2)).join(', ')} s (goal ${goalS} s)`)
      rows.push({ what, goalS, measured })
    }
    await calm(shop)
    await nothingOversold(shop)
    return rows
  } finally {
    await cleanup.run()
  }
}

async function openShop(cell: Cell, holders: number, cleanup: Cleanup): Promise<Shop> {
  const logs = mkdtempSync(join(tmpdir(), 'spike-recovery-'))
  cleanup.add(() => rmSync(logs, { recursive: true, force: true }))
  const log = createLogger('recovery', 'silent')
  const knex = createPostgres({ url: cell.direct.DATABASE_URL, applicationName: 'recovery', poolMax: 4 }, log)
  cleanup.add(() => knex.destroy())
  const env = { ...cell.env(NAMESPACE), ...cell.direct }
  const supervisor = openSupervisor({ env, logs, random: randomOf(1), say: () => undefined })
  cleanup.add(() => supervisor.stopAll())
  const [api] = await Promise.all([supervisor.keep('api'), supervisor.keep('workers')])
  const { shop: client, close } = createApiClient(`http://127.0.0.1:${api.port}`, 64)
  cleanup.add(close)
  const eventId = await openSale(client, cell, holders)
  if (holders > 0) await takeHoldersIn({ knex, client, cell, eventId }, holders)
  const buyers = (await makeBuyers(knex, cell.jwtSecret, BUYERS)).values()
  const trickle = startTrickle({ shop: client, eventId, buyers, everyMs: EVERY_MS })
  cleanup.add(() => trickle.stop())
  return { cell, knex, supervisor, client, eventId, buyers, trickle }
}

/** Enough for ten minutes. */
const BUYERS = 15_000

async function openSale(client: ShopClient, cell: Cell, holders: number): Promise<string> {
  const headers = bearer(cell.admin.token)
  const stock = holders + BUYERS
  const product = await dataOf(
    client.POST('/api/v1/products', {
      headers,
      body: { sku: uuidv7(), name: 'Product of a drill', price: 19_900, stock },
    }),
  )
  const hour = 3_600_000
  const event = await dataOf(
    client.POST('/api/v1/spike-events', {
      headers,
      body: {
        product_id: product.id,
        start_at: new Date(Date.now() - hour).toISOString(),
        end_at: new Date(Date.now() + hour).toISOString(),
        spike_price: 9_900,
        stock,
        payment_window_s: 3_600,
      },
    }),
  )
  const params = { path: { id: event.id } }
  await dataOf(client.POST('/api/v1/spike-events/{id}/publish', { headers, params }))
  return event.id
}

async function takeHoldersIn(
  { knex, client, cell, eventId }: Pick<Shop, 'knex' | 'client' | 'cell' | 'eventId'>,
  holders: number,
): Promise<void> {
  await addHolders(knex, eventId, holders)
  const headers = bearer(cell.admin.token)
  await dataOf(
    client.POST('/api/v1/spike-events/{id}/rebuild', { headers, params: { path: { id: eventId } } }),
  )
}

/** Waits until the last round is forgotten: purchases are answered `queued`, and all that were have their verdict. */
async function calm({ trickle, knex }: Shop): Promise<void> {
  const fromMs = Date.now()
  await until('a purchase that is queued', () => firstSince(trickle, fromMs, isQueued), WITHIN_MS)
  await verdictsOn(knex, queuedBefore(trickle, fromMs))
}

async function redisDies(shop: Shop) {
  const fromMs = Date.now()
  await shop.cell.services.redis.kill()
  const deadMs = Date.now()
  await shop.cell.services.redis.restart()
  return { fromMs, toMs: await answeredSince(shop, deadMs, isAccepted) }
}

/** Backends may commit what they have in hand for a moment longer, so only what is decided after the start counts. */
async function postgresDies({ cell, knex }: Shop) {
  const fromMs = Date.now()
  await cell.services.postgres.kill()
  await cell.services.postgres.restart()
  return { fromMs, toMs: await decidedSince(knex, Date.now()) }
}

async function rabbitDies(shop: Shop) {
  const fromMs = Date.now()
  await shop.cell.services.rabbitmq.kill()
  const deadMs = Date.now()
  await shop.cell.services.rabbitmq.restart()
  return { fromMs, toMs: await answeredSince(shop, deadMs, isQueued) }
}

async function queueRedisReturns({ cell, knex }: Shop) {
  await cell.services.queueRedis.kill()
  await sleep(QUEUE_REDIS_DOWN_MS)
  await cell.services.queueRedis.restart()
  const fromMs = Date.now()
  return { fromMs, toMs: await decidedSince(knex, fromMs) }
}

/** Jobs are held in the worker's hands by a lock on the event's row, which every order has to wait for. */
async function workerDies(shop: Shop) {
  const { cell, knex, supervisor } = shop
  const [workers] = supervisor.of('workers')
  const held = await whileEventIsLocked(shop, async () => {
    const rids = await jobsInHand(cell)
    const fromMs = Date.now()
    workers?.kill()
    return { fromMs, rids }
  })
  await verdictsOn(knex, held.rids)
  return { fromMs: held.fromMs, toMs: Date.now() }
}

/** Lost with many jobs in it: the lock keeps them from being done, and more come than a worker takes in hand. */
async function queueRedisLost(shop: Shop) {
  const { cell, knex, client, eventId, buyers, trickle } = shop
  const lost = await whileEventIsLocked(shop, async () => {
    const crowd = Array.from({ length: CROWD }, () => buyers.next().value as LoadBuyer)
    const rush = startTrickle({ shop: client, eventId, buyers: crowd.values(), everyMs: 2 })
    await jobsWait(cell)
    await rush.stop()
    const fromMs = Date.now()
    await onRedis(cell.direct.QUEUE_REDIS_URL, (redis) => redis.flushall())
    return { fromMs, rids: [rush, trickle].flatMap((each) => queuedBefore(each, fromMs)) }
  })
  await verdictsOn(knex, lost.rids)
  return { fromMs: lost.fromMs, toMs: Date.now() }
}

async function stockRedisLost(shop: Shop) {
  const { cell } = shop
  const fromMs = Date.now()
  await onRedis(cell.direct.REDIS_URL, (redis) => redis.flushall())
  const lostMs = Date.now()
  return { fromMs, toMs: await answeredSince(shop, lostMs, isAccepted) }
}

async function whileEventIsLocked<T>({ knex, eventId }: Shop, work: () => Promise<T>): Promise<T> {
  return knex.transaction(async (trx) => {
    await trx.raw('SET LOCAL idle_in_transaction_session_timeout = 0')
    await trx('spike_events').where('id', eventId).forUpdate()
    return work()
  })
}

/** Waits until a worker has jobs in hand. @returns their rids */
function jobsInHand(cell: Cell): Promise<string[]> {
  return untilQueue(cell, 'jobs in hand', async (queue) => {
    const jobs = await queue.getActive()
    return jobs.length > 0 && jobs.map((job) => createOrderJob.schema.parse(job.data).rid)
  })
}

/** Waits until there are jobs that no worker has taken in hand. */
function jobsWait(cell: Cell): Promise<true> {
  return untilQueue(cell, 'jobs that wait', async (queue) => (await queue.getWaitingCount()) > WAITING_JOBS)
}

function untilQueue<T>(cell: Cell, what: string, probe: (queue: Queue) => Promise<T | false>): Promise<T> {
  return onRedis(cell.direct.QUEUE_REDIS_URL, async (redis) => {
    const queue = openQueue(createOrderJob.step, NAMESPACE, redis)
    try {
      return await until(what, () => probe(queue))
    } finally {
      await queue.close()
    }
  })
}

const isAccepted = ({ answer }: Purchase) => answer === 'queued' || answer === 'reserving'
const isQueued = ({ answer }: Purchase) => answer === 'queued'

/** When the first purchase that was begun after a moment got an answer of this kind. */
async function answeredSince(
  { trickle }: Shop,
  sinceMs: number,
  isWanted: (purchase: Purchase) => boolean,
): Promise<number> {
  const found = await until('the answer', () => firstSince(trickle, sinceMs, isWanted), WITHIN_MS)
  return found.answeredAtMs
}

function firstSince(trickle: Trickle, sinceMs: number, isWanted: (purchase: Purchase) => boolean) {
  return trickle.purchases.find((purchase) => purchase.sentAtMs > sinceMs && isWanted(purchase))
}

function queuedBefore({ purchases }: Trickle, ms: number): string[] {
  const told = purchases.filter((purchase) => isQueued(purchase) && purchase.answeredAtMs < ms)
  return told.flatMap(({ rid }) => rid ?? [])
}

/** When the first order was decided after a moment, by the clock of the one machine that all this runs on. */
function decidedSince(knex: Knex, sinceMs: number): Promise<number> {
  const look = async () => {
    const { rows } = await knex.raw(
      `SELECT extract(epoch FROM min(decided_at)) * 1000 AS ms FROM reservations WHERE decided_at > to_timestamp(?)`,
      [sinceMs / 1_000],
    )
    const [first] = rows as { ms: string | null }[]
    return first?.ms
  }
  // Connections of the pool may have died in the outage.
  return until('a verdict', () => look().catch(() => undefined), WITHIN_MS).then(Number)
}

async function verdictsOn(knex: Knex, rids: readonly string[]): Promise<void> {
  await until(
    `verdicts on ${rids.length} reservations`,
    async () => {
      const { rows } = await knex.raw(
        `SELECT count(*)::int AS decided FROM reservations WHERE rid = ANY(?::uuid[]) AND status <> 'undecided'`,
        [[...rids]],
      )
      return (rows as { decided: number }[])[0]?.decided === rids.length
    },
    WITHIN_MS,
  )
}

async function nothingOversold({ knex, eventId }: Shop): Promise<void> {
  const ledger = await inSnapshot(knex, (trx) => readLedger(trx, eventId))
  if (ledger === undefined || oversold(ledger) > 0) throw new Error(`oversold: ${JSON.stringify(ledger)}`)
}
