import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { orderCreated } from '../../../src/contracts/messages/order-created.ts'
import {
  reservationAccepted,
  type ReservationAccepted,
} from '../../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../../src/contracts/messages/stock-released.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { newRid } from '../../support/rids.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { openSender, type Sender } from '../../support/raw-messages.ts'
import { order } from '../../support/buying.ts'
import { createClient, type Client } from '../../support/http.ts'
import { accepted } from '../../support/reservations.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a message or a job that comes again', () => {
  let world: World
  let broker: Sender
  let api: Client
  let creating: Queue
  let releasing: Queue
  let buyers: LoadBuyer[]

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    broker = await openSender(world)
    api = createClient(`${world.apiUrl}/api/v1`)
    creating = openQueue('create-order', world.config.namespace, world.queueRedis)
    releasing = openQueue('release-stock', world.config.namespace, world.queueRedis)
    buyers = await createBuyers(world, 10)
  })
  after(async () => {
    await broker.close()
    await creating.close()
    await releasing.close()
    await world.close()
  })

  const nextBuyer = (): LoadBuyer => buyers.pop() as LoadBuyer

  /** Takes a unit out of Redis and makes the message for it, as step 2 would publish it. */
  async function reserve(eventId: string, buyer: LoadBuyer): Promise<ReservationAccepted> {
    const rid = newRid(eventId)
    const reply = await world.scripts.reserve({
      eventId,
      rid,
      userId: buyer.user_id,
      quantity: 1,
      requestId: 'test-request',
    })
    if (reply.kind !== 'accepted') throw new Error(`not reserved: ${reply.kind}`)
    const { epoch, reservedAtMs } = reply
    return accepted(eventId, buyer.user_id, { rid, epoch, reserved_at_ms: reservedAtMs })
  }

  /** A later message of the same queue that has been handled says that the earlier ones have been, too. */
  async function passed(): Promise<void> {
    const eventId = await createSale(world)
    await order(api, eventId, nextBuyer())
    await atRest(world, eventId)
  }

  it('makes one order of three copies that come together, and changes nothing when it comes later', async () => {
    const eventId = await createSale(world)
    const message = await reserve(eventId, nextBuyer())
    const { rid } = message
    await Promise.all([1, 2, 3].map(() => broker.sendGenuine(reservationAccepted, message)))
    await until(
      'the order',
      async () => (await world.knex('orders').where({ reservation_id: rid })).length > 0,
    )
    await atRest(world, eventId)
    expect(await world.knex('orders').where({ event_id: eventId }).count()).to.deep.equal([{ count: 1 }])
    expect(await world.knex('spike_events').where({ id: eventId }).first('available')).to.deep.equal({
      available: 9,
    })
    expect(await world.redis.get(`{spike:${eventId}}:stock`)).to.equal('9')
    const before = await stateOf(world, eventId)
    await broker.sendGenuine(reservationAccepted, message)
    await passed()
    const { redis } = await stateOf(world, eventId)
    expect(redis).to.deep.equal(before.redis)
    expect(await world.knex('orders').where({ event_id: eventId }).count()).to.deep.equal([{ count: 1 }])
  })

  it('does not order twice when its job has been forgotten and the message comes again', async () => {
    const eventId = await createSale(world)
    const { rid } = await order(api, eventId, nextBuyer())
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    const job = await creating.getJob(`create-order-${rid}`)
    await job?.remove()
    await creating.add('create-order', { rid }, { jobId: `create-order-${rid}` })
    await until('the job to run again', async () =>
      (await creating.getJob(`create-order-${rid}`))?.isCompleted(),
    )
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('changes nothing when an operator retries its completed job', async () => {
    const eventId = await createSale(world)
    const { rid, orderId } = await order(api, eventId, nextBuyer())
    await atRest(world, eventId)
    const job = await until('the job', async () => {
      const found = await creating.getJob(`create-order-${rid}`)
      return (await found?.isCompleted()) === true && found
    })
    const before = await stateOf(world, eventId)
    const finishedOn = job.finishedOn ?? 0
    await job.retry('completed')
    const again = await until('the job to be completed again', async () => {
      const found = await creating.getJob(`create-order-${rid}`)
      return (await found?.isCompleted()) === true && (found?.finishedOn ?? 0) > finishedOn && found
    })
    expect(again.returnvalue).to.deep.equal({ order_id: orderId })
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('does not close an order before its deadline, whatever deadline the message claims', async () => {
    const eventId = await createSale(world)
    const { orderId } = await order(api, eventId, nextBuyer())
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    const closing = openQueue('close-order', world.config.namespace, world.queueRedis)
    const planned = await until('the job that will close it', () => closing.getJob(`close-order-${orderId}`))
    await planned.remove()
    await broker.sendGenuine(orderCreated, { order_id: orderId, expires_at_ms: 1 })
    await until('the job to have been put off', async () => {
      const job = await closing.getJob(`close-order-${orderId}`)
      return (await job?.isDelayed()) === true && (job?.attemptsStarted ?? 0) > 0
    })
    await closing.close()
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('plans the close of every order that a message tells of', async () => {
    const eventId = await createSale(world)
    const orderIds = [await order(api, eventId, nextBuyer()), await order(api, eventId, nextBuyer())].map(
      ({ orderId }) => orderId,
    )
    await atRest(world, eventId)
    const closing = openQueue('close-order', world.config.namespace, world.queueRedis)
    const jobs = () => Promise.all(orderIds.map((orderId) => closing.getJob(`close-order-${orderId}`)))
    for (const job of await until('both jobs', async () => {
      const found = await jobs()
      return found.every((job) => job !== undefined) && found
    }))
      await job?.remove()
    const [first = '', ...others] = orderIds
    await broker.sendGenuine(orderCreated, {
      order_id: first,
      expires_at_ms: Date.now() + 60_000,
      others,
    })
    await until('both jobs again', async () => (await jobs()).every((job) => job !== undefined))
    await closing.close()
  })

  it('gives a lapsed unit back once, however often the release comes', async () => {
    const eventId = await createSale(world, { paymentWindowS: 1 })
    const buyer = nextBuyer()
    const { rid } = await order(api, eventId, buyer)
    await until(
      'the unit to be back',
      async () => (await world.redis.get(`{spike:${eventId}}:stock`)) === '10',
    )
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    const release = {
      rid,
      event_id: eventId,
      user_id: buyer.user_id,
      quantity: 1,
      reason: 'lapsed' as const,
    }
    for (let i = 0; i < 3; i++) {
      await (await releasing.getJob(`release-stock-${rid}`))?.remove()
      await broker.sendGenuine(stockReleased, release)
      await until('the release to run again', async () =>
        (await releasing.getJob(`release-stock-${rid}`))?.isCompleted(),
      )
    }
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })
})
