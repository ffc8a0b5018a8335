/** Several processes of the product at once, kept alive as a supervisor would, and a sale on them in which something dies. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ShopClient } from '../../client/index.ts'
import { createApiClient } from '../../tools/lib/api-client.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { newCrowdLog, runCrowd, type CrowdLog } from '../chaos/buyers.ts'
import { judgeRun, rest, type Judgement } from '../chaos/checker.ts'
import { readQueues } from '../chaos/queues.ts'
import { openSupervisor, type Kept } from '../chaos/supervisor.ts'
import { createBuyers } from '../factories/accounts.ts'
import { randomOf } from './random.ts'
import { until } from './wait.ts'
import type { World } from './world.ts'

export interface Fleet {
  apis: readonly Kept[]
  workers: readonly Kept[]
  /** Of each API. */
  shops: readonly ShopClient[]
  /** In front of all of them: each request goes to the next one. */
  shop: ShopClient
  close(): Promise<void>
}

const SEED = 7
const SOCKETS_AN_API = 32
const RUSH_MS = 1_500
/** Buyers go on for a moment after something has died: what it broke has to work again. */
const SHOP_ON_MS = 1_500
const REST_WITHIN_MS = 60_000

/** @param env what the processes have otherwise than the world */
export async function openFleet(
  world: World,
  { apis, workers, env = {} }: { apis: number; workers: number; env?: NodeJS.ProcessEnv },
): Promise<Fleet> {
  const logs = mkdtempSync(join(tmpdir(), 'spike-test-logs-'))
  const supervisor = openSupervisor({
    env: { ...world.env, WORKERS_PORT: '0', ...env },
    logs,
    random: randomOf(SEED),
    say: () => undefined,
  })
  // One after the other of each kind: all at once, each would take too long to start on a busy machine.
  const keep = async (role: 'api' | 'workers', count: number) => {
    // The simulated provider of the workers calls the port of their own settings.
    const first = role === 'api' ? { PORT: world.env.PORT } : {}
    for (let i = 0; i < count; i++) await supervisor.keep(role, i === 0 ? first : {})
  }
  try {
    await Promise.all([keep('api', apis), keep('workers', workers)])
  } catch (error) {
    await supervisor.stopAll()
    throw error
  }
  const clients = supervisor
    .of('api')
    .map(({ port }) => createApiClient(`http://127.0.0.1:${port}`, SOCKETS_AN_API))
  const shops = clients.map(({ shop }) => shop)
  return {
    apis: supervisor.of('api'),
    workers: supervisor.of('workers'),
    shops,
    shop: balanced(shops),
    async close() {
      for (const client of clients) client.close()
      await supervisor.stopAll()
      rmSync(logs, { recursive: true, force: true })
    },
  }
}

function balanced(shops: readonly ShopClient[]): ShopClient {
  let turn = 0
  return new Proxy({} as ShopClient, {
    get: (_target, method) => Reflect.get(shops[turn++ % shops.length] ?? {}, method),
  })
}

export interface Played {
  judgement: Judgement
  crowd: CrowdLog
  buyers: readonly LoadBuyer[]
}

/**
 * Sends a crowd that pays, cancels and lets orders lapse; strikes when half of the units were taken, and judges at rest.
 * @param strike resolves when what it broke is back
 */
export async function playSale(
  world: World,
  fleet: Pick<Fleet, 'shop'>,
  sale: { eventId: string; units: number; buyers: number },
  strike: () => Promise<void>,
): Promise<Played> {
  const { eventId, units } = sale
  const buyers = await createBuyers(world, sale.buyers)
  const crowd = newCrowdLog()
  let struckAt: number | undefined
  const visiting = runCrowd(
    {
      shop: fleet.shop,
      eventId,
      rushMs: RUSH_MS,
      payShare: 0.6,
      cancelShare: 0.1,
      randomOf: (buyer) => {
        const random = randomOf(SEED * 100_000 + buyer)
        return () => random.below(1_000_000) / 1_000_000
      },
      shopsUntil: () => struckAt === undefined || Date.now() < struckAt + SHOP_ON_MS,
      waitsUntil: () => struckAt === undefined || Date.now() < struckAt + REST_WITHIN_MS,
    },
    buyers,
    crowd,
  )
  await until('half of the units to be taken', () => crowd.told.size >= units / 2)
  await strike()
  struckAt = Date.now()
  await visiting
  const queues = () => readQueues(world.config.amqpUrl, world.queueRedis, world.config.namespace)
  const state = await rest({ ...world, eventId, queues }, struckAt + REST_WITHIN_MS)
  const judged = await judgeRun(world.knex, eventId, crowd, state)
  return { judgement: { ...judged, settledAfterMs: Date.now() - struckAt }, crowd, buyers }
}

/** Kills a process; its supervisor starts the next one. @returns the time until that was ready */
export async function killAndWait(kept: Kept): Promise<number> {
  const { starts } = kept.counts
  const began = performance.now()
  kept.kill()
  await until(`${kept.name} to be started again`, () => kept.counts.starts > starts)
  await kept.ready()
  return Math.round(performance.now() - began)
}

/** The line that says what was killed and what was lost. */
export function tellKilled(killed: string, { judgement }: Played): void {
  const { told, orders, lost, oversold } = judgement
  process.stdout.write(
    `      killed: ${killed} · accepted ${told}, ordered ${orders}, lost ${lost}, oversold ${oversold}\n`,
  )
}
