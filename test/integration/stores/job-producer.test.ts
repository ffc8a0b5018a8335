import { expect } from 'chai'
import type { Job } from 'bullmq'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import { z } from 'zod'
import { defineJob, JobProducer } from '../../../src/platform/bullmq/job.ts'
import { startStepWorker, type JobHandler } from '../../../src/platform/bullmq/worker.ts'
import { createWorkerRedis } from '../../../src/platform/redis/client.ts'
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

describe('JobProducer', () => {
  let world: World
  let producer: JobProducer<'test-step', { name: string }>
  before(async () => {
    world = await createWorld()
  })
  beforeEach(() => {
    producer = new JobProducer(definition, world.config.namespace, world.queueRedis)
  })
  afterEach(async () => {
    await producer.queue.obliterate({ force: true })
    await producer.close()
  })
  after(() => world.close())

  const payload = { name: 'a' }
  const job = async (): Promise<Job> => {
    const found = await producer.queue.getJob('test-step-a')
    if (found === undefined) throw new Error('there is no such job')
    return found
  }
  const counts = () => producer.queue.getJobCounts('waiting', 'delayed', 'active', 'failed', 'completed')
  /** Lets a worker take what waits until the job has the state, then stops it. */
  const work = async (
    handler: JobHandler<{ name: string }>,
    state: 'completed' | 'failed',
  ): Promise<void> => {
    const connection = createWorkerRedis(world.config.queueRedisUrl, 'test worker', world.log)
    const worker = startStepWorker({
      definition,
      handler,
      exhausted: async () => undefined,
      isOutage: () => false,
      concurrency: 1,
      namespace: world.config.namespace,
      connection,
      log: world.log,
    })
    await until(`the job ${state}`, async () => (await (await job()).getState()) === state)
    await worker.close()
    connection.disconnect()
  }

  it('adds jobs under their own ids with the options of their contract', async () => {
    await producer.addBulk([{ payload }, { payload: { name: 'b' }, delayMs: 60_000 }])
    expect(await counts()).to.include({ waiting: 1, delayed: 1 })
    const added = await job()
    expect(added.name).to.equal('test-step')
    expect(added.data).to.deep.equal(payload)
    expect(added.opts).to.deep.include({
      attempts: 1,
      backoff: { type: 'capped', delay: 1 },
      removeOnComplete: { age: 60 },
      removeOnFail: false,
    })
  })

  it('takes a job that is there already as once', async () => {
    await producer.addBulk([{ payload }, { payload }])
    await producer.addBulk([{ payload }])
    expect(await counts()).to.include({ waiting: 1 })
  })

  it('takes a delay in the past as none', async () => {
    await producer.addBulk([{ payload, delayMs: -5_000 }])
    expect(await counts()).to.include({ waiting: 1, delayed: 0 })
  })

  it('adds nothing of a batch with a payload that breaks the contract', async () => {
    const bad = { name: 7 } as unknown as { name: string }
    const error = await producer.addBulk([{ payload }, { payload: bad }]).catch((cause: unknown) => cause)
    expect(error).to.be.an.instanceOf(z.ZodError)
    expect(await counts()).to.include({ waiting: 0 })
  })

  it('keeps what the contract does not name out of Redis', async () => {
    const more = { name: 'a', card: '4111' }
    await producer.addBulk([{ payload: more }])
    expect((await job()).data).to.deep.equal(payload)
  })

  it('makes sure of a job that is not there, and of one that waits, once', async () => {
    await producer.ensure(payload)
    await producer.ensure(payload)
    expect(await counts()).to.include({ waiting: 1 })
  })

  it('revives a job that has failed', async () => {
    await producer.addBulk([{ payload }])
    await work(() => Promise.reject(new Error('once')), 'failed')
    await producer.ensure(payload)
    expect(await counts()).to.include({ waiting: 1, failed: 0 })
    await work(async () => ({ kind: 'done' }), 'completed')
  })

  it('runs a job again that was completed and is still kept', async () => {
    await producer.addBulk([{ payload }])
    await work(async () => ({ kind: 'done', result: 1 }), 'completed')
    await producer.addBulk([{ payload }])
    expect(await counts(), 'a plain add is ignored').to.include({ waiting: 0, completed: 1 })
    await producer.ensure(payload)
    expect(await counts()).to.include({ waiting: 1, completed: 0 })
  })

  it('makes a job again that was removed', async () => {
    await producer.addBulk([{ payload }])
    await (await job()).remove()
    await producer.ensure(payload)
    expect(await counts()).to.include({ waiting: 1 })
  })
})
