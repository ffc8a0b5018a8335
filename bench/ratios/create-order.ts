import { setTimeout as sleep } from 'node:timers/promises'
import type { Queue } from 'bullmq'
import { v7 as uuidv7 } from 'uuid'
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { JobProducer } from '../../src/platform/bullmq/job.ts'
import { makeBuyers } from '../../tools/lib/buyers.ts'
import { startProcess } from '../../tools/lib/processes.ts'
import { LOGS, openArena, type Arena } from '../lib/arena.ts'
import { startReference } from '../lib/child.ts'
import { clean, countBatches, countOrdered } from '../lib/clean.ts'
import { cpuEach, cpuTimes } from '../lib/cpu.ts'
import { chunks, receive, reserveFor } from '../lib/preload.ts'
import type { BenchWorld, Ratio, Sample } from '../ratio.ts'

/** As in the workers process. */
const CONCURRENCY = 250
const JOBS_A_SECOND = 4_000
const WARM_UP = 2_000
const NOT_LONGER_MS = 120_000

interface Process {
  pid: number
  stop(): Promise<unknown>
}
type Add = (rids: readonly string[]) => Promise<void>
type Start = (env: NodeJS.ProcessEnv) => Promise<Process>

const NO_OP = 'BullMQ no-op worker, same jobs and concurrency'

/**
 * Jobs and reservations are there before the clock starts: the queue is paused, the process is up, the queue is resumed,
 * and the clock stops when the last job is completed.
 */
export const createOrder: readonly Ratio[] = [
  ratioOf(`create-order step by itself, orders decided : ${NO_OP}`, (env) =>
    startReference('../subjects/create-order-step.ts', env),
  ),
  ratioOf(`create-order in the whole workers process, with what follows an order : ${NO_OP}`, (env) =>
    startProcess('workers', env, LOGS),
  ),
  // No subject of ours: what is left of the goal when everything but the orders themselves is taken away.
  ratioOf(`limit on this machine: a bare worker, one statement a batch of orders : ${NO_OP}`, (env) =>
    startReference('bare-batch-worker.ts', env),
  ),
]

function ratioOf(what: string, start: Start): Ratio {
  return {
    id: 'P3',
    what,
    unit: 'orders/s',
    goal: { atLeast: 0.7 },
    open: (world) => openStage(world, start),
  }
}

async function openStage(world: BenchWorld, start: Start) {
  const arena = await openArena(world)
  const count = world.seconds * JOBS_A_SECOND
  const buyers = await makeBuyers(arena.knex, arena.config.jwtSecret, count)
  const userIds = buyers.map(({ user_id }) => user_id)
  const env = { ...arena.env, QUEUE: createOrderJob.step, CONCURRENCY: String(CONCURRENCY) }
  const startNoOp: Start = () => startReference('no-op-worker.ts', env)
  const jobsOf = async (users: readonly string[], add: Add): Promise<void> => {
    const eventId = await arena.openSale(users.length)
    const held = await reserveFor(arena, eventId, users)
    await add(held.map(({ rid }) => rid))
    await receive(arena, eventId, held)
  }
  return {
    async subject() {
      const sample = await drained(arena, () => start(env), userIds, jobsOf)
      const decided = await countOrdered(arena)
      if (decided !== count + WARM_UP) throw new Error(`${count + WARM_UP} jobs made ${decided} orders`)
      const orders_a_batch = decided / (await countBatches(arena))
      return { ...sample, extra: { orders_a_batch, ...sample.extra } }
    },
    reference: () =>
      drained(
        arena,
        () => startNoOp(env),
        userIds,
        (users, add) => add(users.map(() => uuidv7())),
      ),
    close: () => clean(arena),
  }
}

/** @param fill adds a job for each buyer, and makes everything that it needs */
async function drained(
  arena: Arena,
  start: () => Promise<Process>,
  userIds: readonly string[],
  fill: (userIds: readonly string[], add: Add) => Promise<void>,
): Promise<Sample> {
  await clean(arena)
  const producer = new JobProducer(createOrderJob, arena.config.namespace, arena.queueRedis)
  const add: Add = async (rids) => {
    for (const some of chunks(rids)) await producer.addBulk(some.map((rid) => ({ payload: { rid } })))
  }
  const process = await start()
  try {
    await producer.queue.pause()
    await fill(userIds.slice(0, WARM_UP), add)
    await timeToDrain(producer.queue, WARM_UP)
    await producer.queue.pause()
    await fill(userIds, add)
    const before = await cpuTimes(arena, process.pid)
    const seconds = await timeToDrain(producer.queue, WARM_UP + userIds.length)
    const extra = cpuEach(before, await cpuTimes(arena, process.pid), userIds.length)
    return { value: userIds.length / seconds, extra }
  } finally {
    await process.stop()
    await producer.close()
  }
}

/** @param completed jobs in all, those of the warm-up included */
async function timeToDrain(queue: Queue, completed: number): Promise<number> {
  await queue.resume()
  const began = performance.now()
  for (;;) {
    const passed = performance.now() - began
    if ((await queue.getCompletedCount()) >= completed) return passed / 1_000
    if (passed > NOT_LONGER_MS) throw new Error(`jobs are not done within ${NOT_LONGER_MS} ms`)
    await sleep(10)
  }
}
