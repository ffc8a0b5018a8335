import { expect } from 'chai'
import type { ConsumeMessage } from 'amqplib'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import { declareTopology, MESSAGES } from '../../../src/contracts/messages/topology.ts'
import { BatchConsumer } from '../../../src/platform/rabbitmq/batch-consumer.ts'
import { connectRabbit, type RabbitConnection } from '../../../src/platform/rabbitmq/connection.ts'
import { openBroker, type Broker } from '../../support/broker.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const MAX_BATCH = 10

type Handle = (batch: readonly ConsumeMessage[]) => Promise<void>

const bodies = (count: number): string[] => Array.from({ length: count }, (_, i) => `message-${i}`)
const textsOf = (batch: readonly ConsumeMessage[]) => batch.map(({ content }) => content.toString())

/** A promise that the test settles by hand. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

describe('BatchConsumer', () => {
  let world: World
  let broker: Broker
  let cable: Proxy
  let connection: RabbitConnection
  let queue: string
  let consumer: BatchConsumer | undefined
  before(async () => {
    world = await createWorld()
    broker = await openBroker(world)
    await declareTopology(broker.channel, world.topology)
    cable = await Proxy.before(world.config.amqpUrl)
    connection = await connectRabbit(cable.urlOf(world.config.amqpUrl), 'consumer under test', world.log)
    queue = world.topology.queueOf(MESSAGES[0])
  })
  beforeEach(() => broker.channel.purgeQueue(queue))
  afterEach(() => consumer?.stop())
  after(async () => {
    await connection.close()
    await cable.cut()
    await broker.close()
    await world.close()
  })

  /** How often the consumer under test has declared its queue: once for each channel. */
  let prepared: number
  const started = async (handle: Handle): Promise<BatchConsumer> => {
    prepared = 0
    consumer = new BatchConsumer({
      connection,
      queue,
      maxBatch: MAX_BATCH,
      maxWaitMs: 20,
      prepare: async (channel) => {
        await declareTopology(channel, world.topology)
        prepared++
      },
      handle,
      log: world.log,
    })
    await consumer.start()
    return consumer
  }

  it('hands over every message once, in their order, in batches of at most its size, one at a time', async () => {
    const batches: string[][] = []
    let atOnce = 0
    let most = 0
    const running = await started(async (batch) => {
      most = Math.max(most, ++atOnce)
      batches.push(textsOf(batch))
      await broker.consumers(queue) // a round trip, so that batches could overlap
      atOnce--
    })
    await broker.send(queue, bodies(45))
    await until('all messages', () => batches.flat().length >= 45)
    await running.stop()
    expect(batches.flat()).to.deep.equal(bodies(45))
    expect(Math.max(...batches.map(({ length }) => length))).to.equal(MAX_BATCH)
    expect(most, 'batches in hand').to.equal(1)
    expect(await broker.ready(queue), 'acked').to.equal(0)
  })

  it('does not wait for company for ever', async () => {
    const batches: string[][] = []
    const running = await started(async (batch) => void batches.push(textsOf(batch)))
    await broker.send(queue, ['alone'])
    await until('the single message', () => batches.length > 0)
    await running.stop()
    expect(batches).to.deep.equal([['alone']])
  })

  it('acks after its handler, so that messages in hand come back after a crash', async () => {
    const { opened, open } = gate()
    const seen: { text: string; redelivered: boolean }[] = []
    const running = await started(async (batch) => {
      for (const { content, fields } of batch)
        seen.push({ text: content.toString(), redelivered: fields.redelivered })
      if (seen.length <= 3) await opened
    })
    await broker.send(queue, bodies(3))
    await until('the first delivery', () => seen.length === 3)
    await cable.cut()
    await cable.restore()
    open()
    await until('the second delivery', () => seen.length >= 6)
    await until('the acks', async () => (await broker.ready(queue)) === 0)
    await running.stop()
    expect(seen.slice(0, 3).map(({ redelivered }) => redelivered)).to.deep.equal([false, false, false])
    expect(seen.slice(3)).to.deep.equal(bodies(3).map((text) => ({ text, redelivered: true })))
    expect(await broker.ready(queue)).to.equal(0)
  })

  it('tries a batch again by itself when its handler fails, without using up deliveries', async () => {
    const tries: { texts: string[]; redelivered: boolean[] }[] = []
    const running = await started(async (batch) => {
      tries.push({ texts: textsOf(batch), redelivered: batch.map(({ fields }) => fields.redelivered) })
      if (tries.length < 3) throw new Error('the store is down')
    })
    await broker.send(queue, ['a'])
    await until('the third try', () => tries.length === 3)
    await running.stop()
    expect(tries).to.deep.equal(Array.from({ length: 3 }, () => ({ texts: ['a'], redelivered: [false] })))
    expect(await broker.ready(queue), 'acked').to.equal(0)
  })

  it('gives the messages back when it is stopped while its handler fails', async () => {
    let tries = 0
    const running = await started(() => {
      tries++
      return Promise.reject(new Error('the store is down'))
    })
    await broker.send(queue, bodies(25))
    await until('a first try', () => tries > 0)
    await running.stop()
    await until('the messages in their queue', async () => (await broker.ready(queue)) === 25)
    expect(await broker.consumers(queue)).to.equal(0)
  })

  it('finishes the batch in hand when it is stopped, loses none and hands none over twice', async () => {
    const { opened, open } = gate()
    const seen: string[] = []
    const running = await started(async (batch) => {
      await opened
      seen.push(...textsOf(batch))
    })
    await broker.send(queue, bodies(40))
    await until('a full hand', async () => (await broker.ready(queue)) === 40 - 2 * MAX_BATCH)
    const stopped = running.stop()
    open()
    await stopped
    expect(seen.length).to.be.at.least(MAX_BATCH)
    expect(new Set(seen).size).to.equal(seen.length)
    await until('the others in their queue', async () => (await broker.ready(queue)) === 40 - seen.length)
  })

  it('comes back after the broker has taken its queue away', async () => {
    const seen: string[] = []
    const running = await started(async (batch) => void seen.push(...textsOf(batch)))
    await broker.channel.deleteQueue(queue)
    await until('a new channel', () => prepared === 2)
    await broker.send(queue, ['after'])
    await until('the message', () => seen.length > 0)
    await running.stop()
    expect(seen).to.deep.equal(['after'])
  })
})
