/** One run of the campaign: a sale on real processes and private services, with faults, and its judgement. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import type { ShopClient } from '../../client/index.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { createQueueRedis, createRedis } from '../../src/platform/redis/client.ts'
import { loadScripts } from '../../src/platform/redis/define-script.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'
import { bearer, createApiClient } from '../../tools/lib/api-client.ts'
import { makeBuyers } from '../../tools/lib/buyers.ts'
import { Cleanup } from '../../tools/lib/command.ts'
import { randomOf } from '../support/random.ts'
import { newCrowdLog, runCrowd } from './buyers.ts'
import { editSale } from './admin.ts'
import type { Cell } from './cell.ts'
import { judgeRun, rest, unfinished, type Judgement, type Sources } from './checker.ts'
import { faultOf, type Expectation } from './faults.ts'
import type { Mark, Sample } from './picture.ts'
import type { RunPlan, Strike } from './plan.ts'
import { readQueues } from './queues.ts'
import { startSampler } from './sampler.ts'
import { openSupervisor, type Supervisor } from './supervisor.ts'

/** What was promised: everything is right again this long after the last fault. */
export const REST_WITHIN_MS = 60_000
/** Buyers go on pressing the button for a moment after the last fault: what it broke has to work again. */
const SHOPS_ON_MS = 1_500

export interface RunResult {
  plan: RunPlan
  judgement: Judgement
  samples: Sample[]
  marks: Mark[]
  /** How long the run took in all. */
  tookMs: number
  /** Folder with the logs of the processes; kept when a promise was broken. */
  logs: string
}

export function isKept({
  oversold,
  duplicates,
  lost,
  phantom,
  drift,
  unanswered,
  broken,
}: Judgement): boolean {
  return oversold + duplicates + lost + phantom + unanswered + broken.length === 0 && drift === 0
}

interface RunOptions {
  /** Folder of the build that the processes run from, beside the sources. */
  build?: string
  restWithinMs?: number
}

/** Runs a plan on a cell. @param say progress, in a line now and then */
export async function runPlan(
  cell: Cell,
  plan: RunPlan,
  say: (line: string) => void,
  { build = 'dist', restWithinMs = REST_WITHIN_MS }: RunOptions = {},
): Promise<RunResult> {
  const began = Date.now()
  const cleanup = new Cleanup()
  const logs = mkdtempSync(join(tmpdir(), `spike-chaos-${plan.seed}-`))
  try {
    await cell.reset()
    const stage = await openStage(cell, plan, { logs, build, cleanup, say })
    const { judgement, samples, marks } = await play(stage, plan, say, restWithinMs)
    await cleanup.run()
    if (isKept(judgement)) rmSync(logs, { recursive: true, force: true })
    return { plan, judgement, samples, marks, tookMs: Date.now() - began, logs }
  } catch (error) {
    const judgement = unfinished(error as Error)
    return { plan, judgement, samples: [], marks: [], tookMs: Date.now() - began, logs }
  } finally {
    await cleanup.run()
  }
}

export function faultsOf({ strikes }: RunPlan): string {
  return strikes.map(({ fault }) => fault).join(', ')
}

interface Stage extends Sources {
  cell: Cell
  namespace: string
  supervisor: Supervisor
  shop: ShopClient
  /** Of the crowd. */
  buyers: Awaited<ReturnType<typeof makeBuyers>>
}

/** Clients that go past the proxies, the product's processes, and a sale that is open. */
async function openStage(
  cell: Cell,
  plan: RunPlan,
  {
    logs,
    build,
    cleanup,
    say,
  }: { logs: string; build: string; cleanup: Cleanup; say: (line: string) => void },
): Promise<Stage> {
  const log = createLogger('chaos', 'silent')
  const namespace = `run-${plan.seed}`
  const knex = createPostgres({ url: cell.direct.DATABASE_URL, applicationName: 'chaos', poolMax: 5 }, log)
  cleanup.add(() => knex.destroy())
  const redis = createRedis(cell.direct.REDIS_URL, 'chaos', log)
  const queueRedis = createQueueRedis(cell.direct.QUEUE_REDIS_URL, 'chaos', log)
  cleanup.add(() => [redis, queueRedis].forEach((client) => client.disconnect()))
  const supervisor = openSupervisor({
    env: cell.env(namespace),
    build,
    logs,
    random: randomOf(plan.seed),
    say,
  })
  cleanup.add(() => supervisor.stopAll())
  const [api] = await Promise.all([
    supervisor.keep('api'),
    supervisor.keep('workers'),
    ...(plan.seed % 4 === 0 ? [supervisor.keep('workers')] : []),
  ])
  const client = createApiClient(`http://127.0.0.1:${api.port}`, 64)
  cleanup.add(() => client.close())
  const eventId = await openSale(client.shop, cell, plan)
  return {
    cell,
    namespace,
    supervisor,
    knex,
    redis,
    scripts: loadScripts(redis, spikeScripts),
    queues: () => readQueues(cell.direct.AMQP_URL, queueRedis, namespace),
    shop: client.shop,
    eventId,
    buyers: await makeBuyers(knex, cell.jwtSecret, plan.buyers),
  }
}

async function openSale(shop: ShopClient, cell: Cell, plan: RunPlan): Promise<string> {
  const headers = bearer(cell.admin.token)
  const product = await shop.POST('/api/v1/products', {
    headers,
    body: { sku: `CHAOS-${uuidv7()}`, name: 'Product of a run', price: 19_900, stock: plan.units + 100 },
  })
  const event = await shop.POST('/api/v1/spike-events', {
    headers,
    body: {
      product_id: product.data?.data.id ?? '',
      start_at: new Date(Date.now() - 60_000).toISOString(),
      end_at: new Date(Date.now() + 3_600_000).toISOString(),
      spike_price: 9_900,
      stock: plan.units,
      payment_window_s: plan.paymentWindowS,
      lapse_limit: 1,
    },
  })
  const id = event.data?.data.id ?? ''
  const published = await shop.POST('/api/v1/spike-events/{id}/publish', {
    headers,
    params: { path: { id } },
  })
  if (published.data === undefined) throw new Error(`sale not opened: ${JSON.stringify(published.error)}`)
  return id
}

async function play(
  stage: Stage,
  plan: RunPlan,
  say: (line: string) => void,
  restWithinMs: number,
): Promise<Pick<RunResult, 'judgement' | 'samples' | 'marks'>> {
  const began = Date.now()
  const crowd = newCrowdLog()
  const marks: Mark[] = []
  const sampler = startSampler(stage, began)
  // Until the last fault is over nobody knows when that will be.
  let lastFaultAt: number | undefined
  const visiting = runCrowd(
    {
      shop: stage.shop,
      eventId: stage.eventId,
      rushMs: plan.rushMs,
      payShare: plan.payShare,
      cancelShare: plan.cancelShare,
      randomOf: (buyer) => {
        const random = randomOf(plan.seed * 100_000 + buyer)
        return () => random.below(1_000_000) / 1_000_000
      },
      shopsUntil: () => lastFaultAt === undefined || Date.now() < lastFaultAt + SHOPS_ON_MS,
      waitsUntil: () => lastFaultAt === undefined || Date.now() < lastFaultAt + restWithinMs,
    },
    stage.buyers,
    crowd,
  )
  const random = randomOf(plan.seed + 1_000_000)
  const strike = async ({ fault, atMs }: Strike) => {
    await sleep(Math.max(0, began + atMs - Date.now()))
    const mark = { name: fault, fromMs: Date.now() - began, toMs: 0, times: 1 }
    const note = (expectation: Expectation) => {
      if (expectation.kind === 'struck') mark.times = expectation.times
    }
    await faultOf(fault).strike({ ...stage, random, say, note })
    mark.toMs = Date.now() - began
    marks.push(mark)
  }
  await Promise.all([
    inTurn(plan.strikes.filter(({ fault }) => fault.startsWith('failpoint ')).map((s) => () => strike(s))),
    inTurn(plan.strikes.filter(({ fault }) => !fault.startsWith('failpoint ')).map((s) => () => strike(s))),
    inTurn(plan.edits.map((edit) => () => editSale(stage, began, edit))),
  ])
  lastFaultAt = Date.now()
  await visiting
  const state = await rest(stage, lastFaultAt + restWithinMs)
  const settledAfterMs = Math.max(0, Date.now() - lastFaultAt)
  const judgement = await judgeRun(stage.knex, stage.eventId, crowd, state)
  await sampler.stop()
  return { judgement: { ...judgement, settledAfterMs }, samples: sampler.samples, marks }
}

async function inTurn(steps: readonly (() => Promise<void>)[]): Promise<void> {
  for (const step of steps) await step()
}
