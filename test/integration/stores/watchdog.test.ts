import { expect } from 'chai'
import type { Worker } from 'bullmq'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { defineJob, JobProducer } from '../../../src/platform/bullmq/job.ts'
import { Watchdog } from '../../../src/platform/bullmq/watchdog.ts'
import { startStepWorker } from '../../../src/platform/bullmq/worker.ts'
import { createQueueRedis, createWorkerRedis } from '../../../src/platform/redis/client.ts'
import type { RedisClient } from '../../../src/platform/redis/nodes.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const definition = defineJob({
  step: 'test-step',
  schema: z.object({ name: z.string() }),
  attempts: 1,
  backoffMs: 1,
  keepCompletedS: 60,
  jobId: ({ name }) => `test-step-${name}`,
  whenExhausted: 'Nothing: this is a test.',
})
const LOOK_EVERY_MS = 20
/** More looks than it takes to be sure. */
const MANY_LOOKS = 15

describe('the watchdog of a worker', () => {
  let world: World
  let connection: RedisClient
  let producer: JobProducer<'test-step', { name: string }>
  let proxy: Proxy
  let watching: RedisClient
  let watched: JobProducer<'test-step', { name: string }>
  let watchdog: Watchdog
  let worker: Worker | undefined
  let namespace: string
  let looks: number
  let exits: number
  before(async () => {
    world = await createWorld()
    proxy = await Proxy.before(world.config.queueRedisUrl)
    connection = createWorkerRedis(world.config.queueRedisUrl, 'test worker', world.log)
    watching = createQueueRedis(proxy.urlOf(world.config.queueRedisUrl), 'test watchdog', world.log)
  })
  beforeEach(() => {
    namespace = `${world.config.namespace}-${uuidv7()}`
    producer = new JobProducer(definition, namespace, world.queueRedis)
    watched = new JobProducer(definition, namespace, watching)
    looks = exits = 0
    watchdog = new Watchdog({
      queue: watched.queue,
      exit: () => exits++,
      lookEveryMs: LOOK_EVERY_MS,
      log: world.log,
    })
    const isPaused = watched.queue.isPaused.bind(watched.queue)
    watched.queue.isPaused = () => {
      looks++
      return isPaused()
    }
  })
  afterEach(async () => {
    await watchdog.stop()
    await worker?.close()
    worker = undefined
    await producer.queue.obliterate({ force: true })
    await Promise.all([producer.close(), watched.close()])
  })
  after(async () => {
    watching.disconnect()
    connection.disconnect()
    await proxy.cut()
    await world.close()
  })

  const startWorker = async (work: () => Promise<unknown> = async () => undefined) => {
    worker = startStepWorker({
      definition,
      handler: watchdog.noticing(async () => ({ kind: 'done', result: await work() })),
      exhausted: async () => undefined,
      isOutage: () => false,
      concurrency: 2,
      namespace,
      connection,
      log: world.log,
    })
    await worker.waitUntilReady()
    return worker
  }
  const add = (count = 1, delayMs?: number) =>
    producer.addBulk(
      Array.from({ length: count }, () => ({
        payload: { name: uuidv7() },
        ...(delayMs === undefined ? {} : { delayMs }),
      })),
    )
  const manyLooks = async () => {
    const enough = looks + MANY_LOOKS
    await until('many looks', () => looks >= enough)
  }

  it('ends the process of a worker that takes none of the jobs that wait', async () => {
    const wedged = await startWorker()
    await wedged.pause()
    await add()
    watchdog.start()
    await until('the exit', () => exits > 0)
    expect(looks, 'not at the first sight').to.be.at.least(6)
  })

  it('does not mind a worker that has nothing to do, or jobs that are not due', async () => {
    await startWorker()
    await add(3, 60_000)
    watchdog.start()
    await manyLooks()
    expect(exits).to.equal(0)
  })

  it('does not mind jobs that wait behind one in the worker’s hands', async () => {
    let finish: () => void = () => undefined
    const finished = new Promise<void>((resolve) => (finish = resolve))
    await startWorker(() => finished)
    await add(5)
    watchdog.start()
    await manyLooks()
    finish()
    expect(await producer.queue.getWaitingCount()).to.equal(3)
    expect(exits).to.equal(0)
  })

  it('does not mind a queue that was paused on the board', async () => {
    await producer.queue.pause()
    await startWorker()
    await add()
    watchdog.start()
    await manyLooks()
    expect(exits).to.equal(0)
  })

  it('does not mind that other workers take the jobs', async () => {
    const wedged = await startWorker()
    await wedged.pause()
    await add(30)
    watchdog.start()
    for (let taken = 0; taken < 8; taken++) {
      const before = looks
      await until('two looks', () => looks >= before + 2)
      await world.queueRedis.rpop(producer.queue.toKey('wait'))
    }
    expect(exits).to.equal(0)
  })

  it('takes no answer of Redis for no sign, and looks again when it is back', async () => {
    const wedged = await startWorker()
    await wedged.pause()
    await proxy.cut()
    await add()
    watchdog.start()
    await until('a few looks in vain', () => looks >= 3)
    expect(exits).to.equal(0)
    await proxy.restore()
    await until('the exit', () => exits > 0)
  })
})
