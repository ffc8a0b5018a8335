import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { after, before, describe, it } from 'mocha'
import { createOrderJob } from '../../../src/contracts/jobs/create-order.ts'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { JobProducer } from '../../../src/platform/bullmq/job.ts'
import { createQueueRedis } from '../../../src/platform/redis/client.ts'
import { isStoreTrouble } from '../../../src/platform/store-trouble.ts'
import { openHome } from '../../../tools/services/home.ts'
import { openInstance, type Instance } from '../../../tools/services/instance.ts'
import { startLocal } from '../../../tools/services/local.ts'
import { createSale } from '../../factories/sales.ts'
import { openSender, type Sender } from '../../support/raw-messages.ts'
import { accepted, buyerIds } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const DATA = fileURLToPath(new URL('../../../.data', import.meta.url))
const MESSAGES = 150
/** Room for less than a batch of jobs. */
const STEP = 20_000

/** A Redis of its own, because its memory is taken away. */
describe('a Redis of the queues that is full', function () {
  this.timeout(60_000)
  let instance: Instance
  let world: World
  let sender: Sender
  let redis: Redis
  let createOrders: JobProducer<'create-order', { rid: string }>
  before(async () => {
    const home = openHome(DATA)
    instance = openInstance(home)
    const names = ['queue-redis'] as const
    const urls = await startLocal({
      instance,
      home,
      names: [...names],
      env: process.env,
      log: () => undefined,
    })
    world = await createWorld({ QUEUE_REDIS_URL: urls.get('queue-redis') })
    redis = new Redis(world.config.queueRedisUrl)
    createOrders = new JobProducer(
      createOrderJob,
      world.config.namespace,
      createQueueRedis(world.config.queueRedisUrl, 'test', world.log),
    )
    sender = await openSender(world)
  })
  after(async () => {
    await sender.close()
    await world.close()
    ;(await createOrders.queue.getBackend().client).disconnect()
    redis.disconnect()
    await instance.keeper.stop()
  })

  const limitMemory = (bytes: number) => redis.config('SET', 'maxmemory', bytes)
  const usedMemory = async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
  const stored = () => createOrders.queue.getJobCountByTypes('waiting', 'active', 'completed', 'failed')

  it('takes a part of a batch of jobs, says so, and has each once when it is added again', async () => {
    const batch = Array.from({ length: 400 }, () => ({ payload: { rid: randomUUID() } }))
    let error: unknown
    for (let room = STEP; (await stored()) === 0; room += STEP) {
      await limitMemory((await usedMemory()) + room)
      error = await createOrders.addBulk(batch).catch((cause: unknown) => cause)
    }
    expect(error).to.be.an('error').with.property('message').that.includes('OOM')
    expect(isStoreTrouble(error)).to.equal(true)
    expect(await stored())
      .to.be.above(0)
      .and.below(400)
    await limitMemory(0)
    await createOrders.addBulk(batch)
    expect(await stored()).to.equal(400)
    await createOrders.queue.obliterate({ force: true })
  })

  it('leaves the messages with the broker until all of their jobs are stored', async () => {
    const eventId = await createSale(world, { stock: MESSAGES })
    const messages = (await buyerIds(world, MESSAGES)).map((userId) => accepted(eventId, userId))
    const workers = await world.start('workers')
    await limitMemory(1)
    for (const message of messages) await sender.sendGenuine(reservationAccepted, message)
    await until('the first in the inbox', () =>
      world.knex('reservations').where({ event_id: eventId }).first('rid'),
    )
    await workers.stop()
    const queue = world.topology.queueOf(reservationAccepted)
    await until('the messages back in their queue', async () => (await sender.depth(queue)) === MESSAGES)
    await limitMemory(0)
    await world.start('workers')
    await until('the orders', async () => {
      const orders = await world.knex('orders').where({ event_id: eventId })
      return orders.length === MESSAGES
    })
    await until('the messages to be gone', async () => (await sender.depth(queue)) === 0)
    expect(await sender.depth(world.topology.deadQueue)).to.equal(0)
    expect(await stored()).to.equal(MESSAGES)
  })
})
