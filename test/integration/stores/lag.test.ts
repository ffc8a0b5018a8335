import { expect } from 'chai'
import type { Queue } from 'bullmq'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { JOBS } from '../../../src/contracts/jobs/registry.ts'
import { readLag, type LagDependencies } from '../../../src/figures/lag.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { createPostgres } from '../../../src/platform/postgres/client.ts'
import { createQueueRedis, createRedis } from '../../../src/platform/redis/client.ts'
import type { RedisClient } from '../../../src/platform/redis/nodes.ts'
import { serverOf } from '../../../src/platform/redis/server.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { createSale } from '../../factories/sales.ts'
import { createWorld, type World } from '../../support/world.ts'

const MINUTE_MS = 60_000
/** Nothing listens there. */
const NOWHERE = '127.0.0.1:1'

describe('readLag', () => {
  let world: World
  let deps: LagDependencies
  before(async () => {
    world = await createWorld()
    const { namespace } = world.config
    const queues = Object.fromEntries(
      JOBS.map(({ step }) => [step, openQueue(step, namespace, world.queueRedis)]),
    ) as Record<(typeof JOBS)[number]['step'], Queue>
    deps = { ...world, queues, brokerDepth: async () => 7 }
  })
  after(async () => {
    await Promise.all(Object.values(deps.queues).map((queue) => queue.close()))
    await world.close()
  })

  it('finds nothing where there is nothing', async () => {
    const step = { broker: 7, waiting: 0, active: 0, delayed: 0, failed: 0, oldestWaitingMs: null }
    expect(await readLag(deps)).to.deep.equal({
      steps: [
        { step: 'create-order', message: 'reservation.accepted', ...step },
        { step: 'close-order', message: 'order.created', ...step },
        { step: 'release-stock', message: 'stock.released', ...step },
      ],
      deadLetters: { broker: 7, kept: 0 },
      outbox: { unpublished: 0, oldestMs: null },
      reservationLog: { entries: 0, oldestMs: null },
    })
  })

  it('asks the broker for the queues of the stack', async () => {
    const asked: string[] = []
    await readLag({ ...deps, brokerDepth: async (name) => asked.push(name) })
    const { topology } = world
    const keys = ['reservation.accepted', 'order.created', 'stock.released']
    expect(asked.sort()).to.deep.equal(
      [...keys.map((key) => topology.queueOf({ key })), topology.deadQueue].sort(),
    )
  })

  it('counts jobs by state, and tells for how long the next one has been due', async () => {
    const now = await timeOf(world.queueRedis)
    const { 'create-order': queue, 'dead-letter': dead } = deps.queues
    await queue.add('create-order', {}, { timestamp: now - 3 * MINUTE_MS })
    await queue.add('create-order', {}, { timestamp: now })
    await queue.add('create-order', {}, { delay: MINUTE_MS })
    await dead.add('dead-letter', {})
    const { steps, deadLetters } = await readLag(deps)
    expect(steps[0]).to.deep.include({ waiting: 2, active: 0, delayed: 1, failed: 0 })
    expect(steps[0]?.oldestWaitingMs).to.be.within(3 * MINUTE_MS, 4 * MINUTE_MS)
    expect(steps[1]).to.deep.include({ waiting: 0, oldestWaitingMs: null })
    expect(deadLetters).to.deep.equal({ broker: 7, kept: 1 })
  })

  it('counts the wait of a delayed job from when it was due', async () => {
    const queue = deps.queues['close-order']
    const now = await timeOf(world.queueRedis)
    const job = await queue.add('close-order', {}, { timestamp: now - 5 * MINUTE_MS, delay: 4 * MINUTE_MS })
    await job.promote()
    const { steps } = await readLag(deps)
    expect(steps[1]?.oldestWaitingMs).to.be.within(MINUTE_MS, 2 * MINUTE_MS)
  })

  it('counts rows that are not published, by the clock of PostgreSQL', async () => {
    const row = (minutes: number, published: boolean) => ({
      topic: 'order.created',
      key: uuidv7(),
      payload: {},
      created_at: world.knex.raw(`now() - interval '${minutes} minutes'`),
      published_at: published ? world.knex.fn.now() : null,
    })
    await world.knex('outbox').insert([row(9, true), row(2, false), row(1, false)])
    const { outbox } = await readLag(deps)
    expect(outbox?.unpublished).to.equal(2)
    expect(outbox?.oldestMs).to.be.within(2 * MINUTE_MS, 3 * MINUTE_MS)
  })

  it('counts the reservation logs of all followed events, by the clock of Redis', async () => {
    const [first, second, draftless] = [await createSale(world), await createSale(world), uuidv7()]
    const now = await timeOf(world.redis)
    const write = (id: string, ms: number) => world.redis.xadd(spikeKeys(id).log, `${ms}-0`, 'rid', 'x')
    await write(first, now - 10_000)
    await write(first, now)
    await write(second, now - 30_000)
    await write(draftless, now - 90_000)
    const { reservationLog } = await readLag(deps)
    expect(reservationLog?.entries).to.equal(3)
    expect(reservationLog?.oldestMs).to.be.within(30_000, 60_000)
    await world.redis.unlink(spikeKeys(draftless).log)
  })

  it('tells null for the part of each store that is away, and the rest all the same', async () => {
    const { log } = world
    const away = createRedis(`redis://${NOWHERE}`, 'spike-test', log)
    const queuesAway = createQueueRedis(`redis://${NOWHERE}`, 'spike-test', log)
    const lost = openQueue('create-order', 'nowhere', queuesAway)
    const knex = createPostgres(
      { url: `postgres://x:y@${NOWHERE}/z`, applicationName: 'spike-test', poolMax: 1 },
      log,
    )
    try {
      const withoutQueues = await readLag({
        ...deps,
        brokerDepth: async () => Promise.reject(new Error('away')),
        queueRedis: queuesAway,
        queues: { 'create-order': lost, 'close-order': lost, 'release-stock': lost, 'dead-letter': lost },
      })
      const unknown = { broker: null, waiting: null, active: null, delayed: null, failed: null }
      for (const step of withoutQueues.steps)
        expect(step).to.deep.include({ ...unknown, oldestWaitingMs: null })
      expect(withoutQueues.deadLetters).to.deep.equal({ broker: null, kept: null })
      expect(withoutQueues.outbox?.unpublished).to.be.a('number')
      expect((await readLag({ ...deps, redis: away })).reservationLog).to.equal(null)
      const withoutPostgres = await readLag({ ...deps, knex })
      expect(withoutPostgres).to.deep.include({ outbox: null, reservationLog: null })
      expect(withoutPostgres.steps[0]?.waiting).to.be.a('number')
    } finally {
      await lost.close()
      away.disconnect()
      queuesAway.disconnect()
      await knex.destroy()
    }
  })
})

async function timeOf(redis: RedisClient): Promise<number> {
  return (await serverOf(redis, 'any')).nowMs
}
