import { randomUUID } from 'node:crypto'
import { connect } from 'amqplib'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import type { DeadLetter } from '../../../src/contracts/jobs/dead-letter.ts'
import { encodeMessage, type MessageDefinition } from '../../../src/contracts/messages/message.ts'
import { orderCreated } from '../../../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { MessageSigner } from '../../../src/contracts/messages/signature.ts'
import { stockReleased } from '../../../src/contracts/messages/stock-released.ts'
import { declareTopology } from '../../../src/contracts/messages/topology.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { decodeRecord } from '../../../src/reserve/record.ts'
import { createSale } from '../../factories/sales.ts'
import { forgetDead, openSender, signatureOn, type Sender } from '../../support/raw-messages.ts'
import { accepted, buyerIds, expectConserved, letLapse } from '../../support/reservations.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** More often than the broker delivers a message. */
const CRASHES = 52

describe('the triage of dead letters', () => {
  let world: World
  let sender: Sender
  let dead: Queue
  const queues: Record<string, Queue> = {}

  before(async () => {
    world = await createWorld()
    await world.start('workers')
    sender = await openSender(world)
    dead = openQueue('dead-letter', world.config.namespace, world.queueRedis)
    for (const step of ['create-order', 'close-order', 'release-stock'])
      queues[step] = openQueue(step, world.config.namespace, world.queueRedis)
  })
  after(async () => {
    await sender.close()
    for (const queue of [dead, ...Object.values(queues)]) await queue.close()
    await world.close()
  })
  beforeEach(() => forgetDead(dead, ...Object.values(queues)))

  const letters = async (): Promise<DeadLetter[]> =>
    (await dead.getJobs(['waiting'], 0, 1_000, true)).map((job) => job.data)
  const noLetters = () => until('the letters to be gone', async () => (await letters()).length === 0)
  const failedJobs = async (): Promise<number> => {
    const counts = await Promise.all(Object.values(queues).map((queue) => queue.getFailedCount()))
    return counts.reduce((sum, count) => sum + count, 0)
  }
  /** Puts a message where the bridge puts what it can't handle. */
  const park = <P extends object>(message: MessageDefinition<P>, body: Buffer, headers = {}) =>
    sender.send(world.topology.deadQueue, body, {
      headers: { 'x-origin': world.topology.queueOf(message), 'x-reason': 'a bug of then', ...headers },
    })
  const parkGenuine = <P extends object>(message: MessageDefinition<P>, payload: P) => {
    const body = encodeMessage(message, payload)
    return park(message, body, signatureOn(world, message, body))
  }
  const newBuyer = async (): Promise<string> => (await buyerIds(world, 1))[0] ?? ''
  const orderOf = (rid: string) => world.knex('orders').where({ reservation_id: rid }).first('id', 'status')
  const ordered = async (eventId: string) => {
    const message = accepted(eventId, await newBuyer())
    await sender.sendGenuine(reservationAccepted, message)
    const { id: orderId } = await until('the order', () => orderOf(message.rid))
    return { message, orderId: orderId as string }
  }
  const recordOf = async (eventId: string, rid: string) => {
    const record = await world.redis.hget(`{spike:${eventId}}:states`, rid)
    return record === null ? undefined : decodeRecord(record).state
  }
  const releaseOf = ({ rid, event_id, user_id }: ReturnType<typeof accepted>) => ({
    rid,
    event_id,
    user_id,
    quantity: 1,
    reason: 'lapsed' as const,
  })
  /** A reservation whose unit has gone back. */
  const lapsed = async (eventId: string) => {
    const { message, orderId } = await ordered(eventId)
    await atRest(world, eventId)
    await letLapse(world.knex, [orderId])
    const job = await until('its job', () => queues['release-stock']?.getJob(`release-stock-${message.rid}`))
    await until('its end', () => job.isCompleted())
    return message
  }

  it('receives a reservation that had no verdict, and takes the letter away when it has one', async () => {
    const eventId = await createSale(world)
    const message = accepted(eventId, await newBuyer())
    await parkGenuine(reservationAccepted, message)
    await until('the order', () => orderOf(message.rid))
    await noLetters()
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
  })

  it('takes away the letter of a reservation that has its verdict, and orders nothing', async () => {
    const eventId = await createSale(world)
    const { message } = await ordered(eventId)
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    for (let i = 0; i < 5; i++) await parkGenuine(reservationAccepted, message)
    await until(
      'the letters with the broker to be moved',
      async () => (await sender.depth(world.topology.deadQueue)) === 0,
    )
    await noLetters()
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('plans the close of an order that is pending', async () => {
    const eventId = await createSale(world)
    const { orderId } = await ordered(eventId)
    const job = await until('the job', () => queues['close-order']?.getJob(`close-order-${orderId}`))
    await until('the plan', () => job.isDelayed())
    await job.remove()
    await parkGenuine(orderCreated, { order_id: orderId, expires_at_ms: 1 })
    await until('the job again', async () =>
      (await queues['close-order']?.getJob(`close-order-${orderId}`))?.isDelayed(),
    )
    await noLetters()
    expect(await world.knex('orders').where({ id: orderId }).first('status')).to.deep.equal({
      status: 'pending',
    })
  })

  it('gives back a unit whose release nobody has heard of', async () => {
    const eventId = await createSale(world, { paymentWindowS: 1 })
    const message = await lapsed(eventId)
    // As if Redis had never been told: the record of the sold unit is back, and so is its place in the stock.
    await (await queues['release-stock']?.getJob(`release-stock-${message.rid}`))?.remove()
    await unrelease(eventId, message)
    await parkGenuine(stockReleased, releaseOf(message))
    await until('the release', async () => (await recordOf(eventId, message.rid)) === 'released')
    await noLetters()
    expect(await world.redis.get(`{spike:${eventId}}:stock`)).to.equal('10')
  })

  it('finds a failed job without a letter, in the place of one that is owed, and makes it run', async () => {
    const eventId = await createSale(world, { paymentWindowS: 1 })
    const message = await lapsed(eventId)
    const releases = queues['release-stock'] as Queue
    const jobId = `release-stock-${message.rid}`
    await (await releases.getJob(jobId))?.remove()
    await unrelease(eventId, message)
    // Somebody else's job under its name, which fails; the letter of it is lost.
    await releases.add('release-stock', { rid: randomUUID() }, { jobId })
    await until('the failure', async () => (await releases.getJob(jobId))?.isFailed())
    await dead.drain()
    await parkGenuine(stockReleased, releaseOf(message))
    await until('the release', async () => (await recordOf(eventId, message.rid)) === 'released')
    expect(await world.redis.get(`{spike:${eventId}}:stock`)).to.equal('10')
  })

  it('leaves to people what is unsigned, unreadable, of a version to come, or not owed', async () => {
    const eventId = await createSale(world)
    const { message } = await ordered(eventId)
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    const stranger = encodeMessage(reservationAccepted, accepted(eventId, await newBuyer()))
    const newer = encodeMessage({ version: 2 }, accepted(eventId, await newBuyer()))
    const wrong = Buffer.from('{"v":1}')
    await park(reservationAccepted, stranger)
    await park(reservationAccepted, stranger, signatureOn(world, stockReleased, stranger))
    await park(reservationAccepted, newer, signatureOn(world, reservationAccepted, newer))
    await park(orderCreated, wrong, signatureOn(world, orderCreated, wrong))
    await parkGenuine(stockReleased, releaseOf(message))
    await parkGenuine(orderCreated, { order_id: randomUUID(), expires_at_ms: 1 })
    await queues['release-stock']?.add(
      'release-stock',
      { rid: message.rid },
      { jobId: `forged-${randomUUID()}` },
    )
    await until('all of them', async () => (await letters()).length === 7)
    await passTwice()
    expect(await letters()).to.have.length(7)
    for (const letter of await letters()) expect(letter.replays).to.equal(0)
    expect(await failedJobs()).to.equal(1)
    expect((await stateOf(world, eventId)).redis).to.deep.equal(before.redis)
    expect(await world.knex('orders').where({ event_id: eventId })).to.have.length(1)
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
  })

  it('leaves what was signed with a former secret, for which the log makes up', async () => {
    const eventId = await createSale(world)
    const userId = await newBuyer()
    const { rid } = accepted(eventId, userId)
    const reply = await world.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: 'test' })
    if (reply.kind !== 'accepted') throw new Error(`not reserved: ${reply.kind}`)
    await world.scripts.markQueued([{ eventId, rids: [rid] }])
    const body = encodeMessage(
      reservationAccepted,
      accepted(eventId, userId, { rid, epoch: reply.epoch, reserved_at_ms: reply.reservedAtMs }),
    )
    const former = new MessageSigner('the secret of last year, of 32 bytes')
    const headers = former.headersOf({ routingKey: reservationAccepted.key, body })
    await sender.send(world.topology.queueOf(reservationAccepted), body, { headers })
    await until('its letter', async () => (await letters()).length === 1)
    await until('the order all the same', () => orderOf(rid), 30_000)
    expect(await letters()).to.have.length(1)
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
  })

  it('finds what is owed behind hundreds of letters that nobody can help', async () => {
    for (let i = 0; i < 230; i++) await sender.send(world.topology.deadQueue, `hopeless ${i}`)
    await until('them all', async () => (await letters()).length === 230)
    const eventId = await createSale(world)
    const message = accepted(eventId, await newBuyer())
    await parkGenuine(reservationAccepted, message)
    await until('the order', () => orderOf(message.rid))
    await until('its letter to be gone', async () => (await letters()).length === 230)
  })

  it('helps the innocents that the broker gave up with a message that kills its reader', async () => {
    const other = await createWorld()
    const connection = await connect(other.config.amqpUrl)
    const first = await connection.createChannel()
    await declareTopology(first, other.topology)
    await first.close()
    const [eventId, [userId = '']] = [await createSale(other), await buyerIds(other, 1)]
    const message = accepted(eventId, userId)
    const otherSender = await openSender(other)
    await otherSender.sendGenuine(reservationAccepted, message)
    const queue = other.topology.queueOf(reservationAccepted)
    for (let i = 0; i < CRASHES; i++) {
      const channel = await connection.createChannel()
      const got = await channel.get(queue)
      await channel.close() // as a reader that dies with the message in hand
      if (got === false && (await otherSender.depth(other.topology.deadQueue)) > 0) break
    }
    await until(
      'the broker to give it up',
      async () => (await otherSender.depth(other.topology.deadQueue)) === 1,
    )
    try {
      await other.start('workers')
      await until('the order', () => other.knex('orders').where({ reservation_id: message.rid }).first('id'))
    } finally {
      await otherSender.close()
      await connection.close()
      await other.close()
    }
  })

  /** Undoes a release in Redis: the unit is confirmed, and not in the stock. */
  async function unrelease(eventId: string, { rid }: { rid: string }): Promise<void> {
    const record = (await world.redis.hget(`{spike:${eventId}}:states`, rid)) ?? ''
    await world.redis.hset(`{spike:${eventId}}:states`, rid, record.replace('released|', 'confirmed|'))
    await world.redis.decr(`{spike:${eventId}}:stock`)
  }

  /** A letter that is settled goes in one pass: two of them, one after the other, prove two passes. */
  async function passTwice(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const count = (await letters()).length
      const { message } = await ordered(await createSale(world))
      await parkGenuine(reservationAccepted, message)
      await until('its letter', async () => (await letters()).length > count, 2_000).catch(() => undefined)
      await until('the pass', async () => (await letters()).length === count)
    }
  }
})
