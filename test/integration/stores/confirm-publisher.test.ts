import type { Socket } from 'node:net'
import type { ConfirmChannel } from 'amqplib'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { declareTopology, MESSAGES } from '../../../src/contracts/messages/topology.ts'
import { connectRabbit, type RabbitConnection } from '../../../src/platform/rabbitmq/connection.ts'
import { ConfirmPublisher, type OutgoingMessage } from '../../../src/platform/rabbitmq/publisher.ts'
import { openBroker, type Broker } from '../../support/broker.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const KEY = MESSAGES[0].key
const MAX_UNCONFIRMED = 5_000

const message = (messageId: string, routingKey: string = KEY): OutgoingMessage => ({
  routingKey,
  messageId,
  body: Buffer.from(messageId),
})

/** The library has it, and no type of it. */
const socketOf = (channel: ConfirmChannel) => (channel.connection as unknown as { stream: Socket }).stream

describe('ConfirmPublisher', () => {
  let world: World
  let broker: Broker
  let cable: Proxy
  let connection: RabbitConnection
  let queue: string
  before(async () => {
    world = await createWorld()
    broker = await openBroker(world)
    cable = await Proxy.before(world.config.amqpUrl)
    connection = await connectRabbit(cable.urlOf(world.config.amqpUrl), 'publisher under test', world.log)
    queue = world.topology.queueOf(MESSAGES[0])
  })
  after(async () => {
    await connection.close()
    await cable.cut()
    await broker.close()
    await world.close()
  })

  const make = (
    maxUnconfirmed = MAX_UNCONFIRMED,
    onChannel: (channel: ConfirmChannel) => unknown = () => undefined,
  ): ConfirmPublisher =>
    new ConfirmPublisher({
      connection,
      exchange: world.topology.exchange,
      maxUnconfirmed,
      prepare: (channel) => {
        onChannel(channel)
        return declareTopology(channel, world.topology)
      },
      log: world.log,
    })
  const started = async (maxUnconfirmed?: number): Promise<ConfirmPublisher> => {
    const publisher = make(maxUnconfirmed)
    await publisher.start()
    return publisher
  }
  /** Publishes until the broker has the message; the channel may be on its way back. */
  const recovered = (publisher: ConfirmPublisher) =>
    until('a confirm after the loss', async () => (await publisher.publish(message('again'))) === 'confirmed')

  it('tells of a confirm, and the message lies in its queue as it was sent', async () => {
    const publisher = await started()
    await broker.channel.purgeQueue(queue)
    const outcome = await publisher.publish({ ...message('the-rid'), headers: { 'x-reason': 'a test' } })
    expect(outcome).to.equal('confirmed')
    const got = await broker.channel.get(queue, { noAck: true })
    if (got === false) throw new Error('the queue is empty')
    expect(got.content.toString()).to.equal('the-rid')
    expect(got.fields).to.include({ exchange: world.topology.exchange, routingKey: KEY })
    expect(got.properties).to.include({
      messageId: 'the-rid',
      deliveryMode: 2,
      contentType: 'application/json',
    })
    expect(got.properties.headers).to.include({ 'x-reason': 'a test' })
    await publisher.stop()
  })

  it('tells what no queue takes, although the broker acks it', async () => {
    const publisher = await started()
    expect(await publisher.publish(message('a', 'no.such.key'))).to.equal('unroutable')
    await broker.channel.unbindQueue(queue, world.topology.exchange, KEY)
    expect(await publisher.publish(message('b'))).to.equal('unroutable')
    await broker.channel.bindQueue(queue, world.topology.exchange, KEY)
    expect(await publisher.publish(message('c'))).to.equal('confirmed')
    await publisher.stop()
  })

  it('tells each of many messages its own outcome, also when two have the same id', async () => {
    const publisher = await started()
    const keys = Array.from({ length: 200 }, (_, i) => (i % 3 === 0 ? 'no.such.key' : KEY))
    const outcomes = await Promise.all(keys.map((key) => publisher.publish(message('same-id', key))))
    expect(outcomes).to.deep.equal(keys.map((key) => (key === KEY ? 'confirmed' : 'unroutable')))
    await publisher.stop()
  })

  /** A queue that takes one message and refuses the next. */
  async function bindFullQueue(): Promise<void> {
    const { queue: full } = await broker.channel.assertQueue('', {
      exclusive: true,
      maxLength: 1,
      arguments: { 'x-overflow': 'reject-publish' },
    })
    await broker.channel.bindQueue(full, world.topology.exchange, 'full')
  }

  it('tells what the broker refuses', async () => {
    const publisher = await started()
    await bindFullQueue()
    const outcomes = []
    for (const id of ['a', 'b', 'c']) outcomes.push(await publisher.publish(message(id, 'full')))
    expect(outcomes).to.deep.equal(['confirmed', 'refused', 'refused'])
    await publisher.stop()
  })

  it('goes on with a new channel after a refusal, and with no more than one a second', async () => {
    let channels = 0
    const publisher = make(MAX_UNCONFIRMED, () => channels++)
    await publisher.start()
    await bindFullQueue()
    const began = performance.now()
    await until('three new channels', async () => {
      await publisher.publish(message('too many', 'full'))
      return channels >= 4
    })
    expect(performance.now() - began).to.be.above(1_990) // the third of them, two seconds after the first
    await recovered(publisher)
    await publisher.stop()
  })

  it('sends what is published in one turn of the event loop in one write', async () => {
    const sockets: Socket[] = []
    const publisher = make(MAX_UNCONFIRMED, (channel) => sockets.push(socketOf(channel)))
    await publisher.start()
    const ids = Array.from({ length: 50 }, (_, i) => `together-${i}`)
    const writes: number[] = []
    const [socket = expect.fail()] = sockets
    const write = Reflect.get(socket, '_writev') as (chunks: unknown[], done: () => void) => void
    Reflect.set(socket, '_writev', (chunks: unknown[], done: () => void) => {
      writes.push(chunks.length)
      write.call(socket, chunks, done)
    })
    const body = Buffer.alloc(500)
    const outcomes = await Promise.all(ids.map((id) => publisher.publish({ ...message(id), body })))
    Reflect.deleteProperty(socket, '_writev') // that of its class is there again
    expect(new Set(outcomes)).to.deep.equal(new Set(['confirmed']))
    expect(writes).to.deep.equal([ids.length])
    await publisher.stop()
  })

  it('is refused without a channel: before the start and after the stop', async () => {
    const publisher = make()
    expect(publisher.isOpen).to.equal(false)
    expect(await publisher.publish(message('early'))).to.equal('refused')
    await publisher.start()
    expect(publisher.isOpen).to.equal(true)
    await publisher.stop()
    expect(await publisher.publish(message('late'))).to.equal('refused')
  })

  it('is unknown when time runs out, and arrives all the same', async () => {
    const publisher = await started()
    await broker.channel.purgeQueue(queue)
    const hurried = publisher.publish(message('hurried'), 0)
    // Its time is over before this turn of the event loop lets any confirm in.
    const others = Array.from({ length: 2_000 }, (_, i) => publisher.publish(message(`other-${i}`)))
    expect(await hurried).to.equal('unknown')
    expect(new Set(await Promise.all(others))).to.deep.equal(new Set(['confirmed']))
    await until('all messages', async () => (await broker.ready(queue)) === 2_001)
    await publisher.stop()
  })

  it('has no room beyond its limit, and has it again after the confirms', async () => {
    const publisher = await started(10)
    const sent = Array.from({ length: 9 }, (_, i) => publisher.publish(message(`room-${i}`)))
    expect(publisher.hasRoom).to.equal(true)
    sent.push(publisher.publish(message('the tenth')))
    expect(publisher.hasRoom).to.equal(false)
    await Promise.all(sent)
    expect(publisher.hasRoom).to.equal(true)
    await publisher.stop()
  })

  it('waits for what is under way when it is stopped', async () => {
    const publisher = await started()
    const sent = Array.from({ length: 100 }, (_, i) => publisher.publish(message(`last-${i}`)))
    await publisher.stop()
    expect(publisher.isOpen).to.equal(false)
    expect(new Set(await Promise.all(sent))).to.deep.equal(new Set(['confirmed']))
  })

  it('comes back after the broker has closed its channel', async () => {
    const publisher = await started()
    await broker.channel.deleteExchange(world.topology.exchange)
    expect(await publisher.publish(message('to nowhere'))).to.equal('unknown')
    await recovered(publisher)
    await publisher.stop()
  })

  it('comes back after the connection was cut, and calls what was under way unknown or confirmed', async () => {
    const publisher = await started()
    const sent = Array.from({ length: 500 }, (_, i) => publisher.publish(message(`cut-${i}`)))
    await cable.cut()
    await cable.restore()
    const outcomes = new Set(await Promise.all(sent))
    expect([...outcomes]).to.include('unknown')
    expect([...outcomes]).to.not.include.members(['refused'])
    await recovered(publisher)
    expect(publisher.hasRoom).to.equal(true)
    await publisher.stop()
  })
})
