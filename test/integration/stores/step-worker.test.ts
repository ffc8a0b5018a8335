import { expect } from 'chai'
import type { Worker } from 'bullmq'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { defineJob, JobProducer } from '../../../src/platform/bullmq/job.ts'
import { startStepWorker, type ExhaustedJob, type JobHandler } from '../../../src/platform/bullmq/worker.ts'
import { createWorkerRedis } from '../../../src/platform/redis/client.ts'
import type { RedisClient } from '../../../src/platform/redis/nodes.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const ATTEMPTS = 3
class Outage extends Error {}

const definition = defineJob({
  step: 'test-step',
  schema: z.object({ name: z.string() }),
  attempts: ATTEMPTS,
  backoffMs: 1,
  keepCompletedS: 60,
  jobId: ({ name }) => `test-step-${name}`,
  whenExhausted: 'Nothing: this is a test.',
})

describe('the worker of a step', () => {
  let world: World
  let connection: RedisClient
  let producer: JobProducer<'test-step', { name: string }>
  let worker: Worker | undefined
  let exhausted: ExhaustedJob[]
  let watched: string[] = []
  before(async () => {
    world = await createWorld()
    connection = createWorkerRedis(world.config.queueRedisUrl, 'test worker', world.log)
    producer = new JobProducer(definition, world.config.namespace, world.queueRedis)
  })
  beforeEach(() => {
    exhausted = []
  })
  afterEach(() => worker?.close())
  after(async () => {
    await producer.close()
    connection.disconnect()
    await world.close()
  })

  const start = (handler: JobHandler<{ name: string }>) => {
    worker = startStepWorker({
      definition,
      handler,
      exhausted: async (job) => void exhausted.push(job),
      isOutage: (error) => error instanceof Outage,
      watch: {
        taken: (_step, waitedMs) => void watched.push(`taken ${waitedMs}`),
        handled: (_step, tookMs) => void watched.push(`handled ${tookMs}`),
        ended: (_step, result) => void watched.push(result),
      },
      concurrency: 5,
      namespace: world.config.namespace,
      connection,
      log: world.log,
    })
  }
  /** Runs one job with this handler. @returns the job in its final state */
  const run = async (handler: JobHandler<{ name: string }>) => {
    const name = uuidv7()
    start(handler)
    await producer.addBulk([{ payload: { name } }])
    return ended(`test-step-${name}`)
  }
  const ended = (id: string) =>
    until('the end of the job', async () => {
      const state = await producer.queue.getJobState(id)
      if (state !== 'completed' && state !== 'failed') return undefined
      // Read behind its state: what was read before has no result yet.
      const job = await producer.queue.getJob(id)
      return job && { job, state }
    })

  it('completes a job that is done, with its result', async () => {
    const { job, state } = await run(async ({ name }) => ({ kind: 'done', result: { hello: name } }))
    expect(state).to.equal('completed')
    expect(job.returnvalue).to.deep.equal({ hello: job.data.name })
  })

  it('completes a job that is skipped, with the reason', async () => {
    const { job, state } = await run(async () => ({ kind: 'skipped', why: 'done before' }))
    expect(state).to.equal('completed')
    expect(job.returnvalue).to.deep.equal({ skipped: 'done before' })
  })

  it('puts a job off as often as it asks, without using up its attempts', async () => {
    let calls = 0
    const { state } = await run(async () => {
      if (++calls <= ATTEMPTS * 2) return { kind: 'later', delayMs: 1 }
      if (calls < ATTEMPTS * 3) throw new Error('a real failure')
      return { kind: 'done' }
    })
    expect([state, calls]).to.deep.equal(['completed', ATTEMPTS * 3])
    expect(exhausted).to.deep.equal([])
  })

  it('puts a job off, without using up its attempts, while a store is down', async function () {
    let calls = 0
    const { state, job } = await run(async () => {
      if (++calls <= ATTEMPTS) throw new Outage('the database is down')
      return { kind: 'done' }
    })
    expect([state, calls, job.attemptsMade]).to.deep.equal(['completed', ATTEMPTS + 1, 1])
    expect(exhausted).to.deep.equal([])
  })

  it('tells of every run: how long the job waited, how long it took, and what became of it', async () => {
    let calls = 0
    watched = []
    await run(async () => {
      if (++calls === 1) return { kind: 'later', delayMs: 1 }
      throw new Error('a real failure')
    })
    const results = () => watched.filter((line) => !line.startsWith('handled') && !line.startsWith('taken'))
    await until('the last word', () => results().includes('exhausted'))
    expect(results()).to.deep.equal(['later', 'retried', 'retried', 'exhausted'])
    expect(watched.filter((line) => line.startsWith('taken'))).to.have.length(1)
    expect(watched.filter((line) => line.startsWith('handled'))).to.have.length(calls)
    for (const line of watched.filter((one) => one.includes(' '))) expect(line).to.match(/^\w+ \d+(\.\d+)?$/)
  })

  it('tells of a job that can never work', async () => {
    watched = []
    await run(async () => ({ kind: 'giveUp', why: 'makes no sense' }))
    await until('the last word', () => watched.includes('failed'))
  })

  it('does not run a job before the time that it asked for', async () => {
    const calls: number[] = []
    await run(async () => {
      calls.push(Date.now())
      return calls.length === 1 ? { kind: 'later', delayMs: 300 } : { kind: 'done' }
    })
    expect((calls[1] ?? 0) - (calls[0] ?? 0)).to.be.at.least(299)
  })

  it('gives a job up at once that will never work, and hands it to the dead letters', async () => {
    let calls = 0
    const { job, state } = await run(async () => {
      calls++
      return { kind: 'giveUp', why: 'no such thing' }
    })
    await until('the dead letter', () => exhausted.length > 0)
    expect([state, calls]).to.deep.equal(['failed', 1])
    expect(exhausted).to.deep.equal([
      { step: 'test-step', jobId: job.id, payload: job.data, error: 'no such thing', attempts: 1 },
    ])
  })

  it('tries a job that throws again, and completes it', async () => {
    let calls = 0
    const { state } = await run(async () => {
      if (++calls < ATTEMPTS) throw new Error('not yet')
      return { kind: 'done' }
    })
    expect([state, calls]).to.deep.equal(['completed', ATTEMPTS])
    expect(exhausted).to.deep.equal([])
  })

  it('hands a job to the dead letters once, when its last attempt has failed', async () => {
    let calls = 0
    const { job, state } = await run(async () => {
      throw new Error(`failure ${++calls}`)
    })
    await until('the dead letter', () => exhausted.length > 0)
    expect([state, calls]).to.deep.equal(['failed', ATTEMPTS])
    expect(exhausted).to.deep.equal([
      {
        step: 'test-step',
        jobId: job.id,
        payload: job.data,
        error: `failure ${ATTEMPTS}`,
        attempts: ATTEMPTS,
      },
    ])
  })

  it('never shows its handler a payload that breaks the contract', async () => {
    let calls = 0
    start(async () => {
      calls++
      return { kind: 'done' }
    })
    const added = await producer.queue.add(
      'test-step',
      { name: 7 },
      { jobId: 'test-step-forged', attempts: 5 },
    )
    const { state } = await ended(added.id ?? '')
    await until('the dead letter', () => exhausted.length > 0)
    expect([state, calls]).to.deep.equal(['failed', 0])
    expect(exhausted[0]?.error).to.match(/^malformed payload: /)
  })

  it('waits for the jobs in hand when it is closed, and takes no more', async () => {
    let open: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    let finished = 0
    let begun = 0
    start(async () => {
      begun++
      await gate
      finished++
      return { kind: 'done' }
    })
    await producer.addBulk(Array.from({ length: 8 }, () => ({ payload: { name: uuidv7() } })))
    await until('full hands', () => begun === 5)
    const closed = worker?.close()
    open()
    await closed
    expect([begun, finished]).to.deep.equal([5, 5])
    expect(await producer.queue.getWaitingCount()).to.equal(3)
  })
})
