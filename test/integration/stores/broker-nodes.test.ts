import { expect } from 'chai'
import { after, afterEach, before, describe, it } from 'mocha'
import {
  connectOnce,
  connectRabbit,
  KeptChannel,
  type RabbitConnection,
} from '../../../src/platform/rabbitmq/connection.ts'
import type { Channel } from 'amqplib'
import { ServiceError } from '../../../src/platform/service-error.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** Three ways to one broker, which are told apart by whose way is cut. */
describe('a broker of several nodes', () => {
  let world: World
  let ways: Proxy[]
  let url: string
  let connection: RabbitConnection | undefined
  before(async () => {
    world = await createWorld()
    ways = await Promise.all([1, 2, 3].map(() => Proxy.before(world.config.amqpUrl)))
    const hosts = ways.map((way) => new URL(way.urlOf(world.config.amqpUrl)).host)
    url = world.config.amqpUrl.replace(new URL(world.config.amqpUrl).host, hosts.join(','))
  })
  afterEach(async () => {
    await connection?.close()
    connection = undefined
    for (const way of ways) await way.restore()
  })
  after(async () => {
    for (const way of ways) await way.cut()
    await world.close()
  })

  const connect = async () => (connection = await connectRabbit(url, 'nodes under test', world.log))
  const answers = async (channel: Channel | undefined) =>
    channel !== undefined && channel.prefetch(1).then(Boolean, () => false)

  it('is entered by the first node that lets us in', async () => {
    await Promise.all([ways[0]?.cut(), ways[1]?.cut()])
    const channel = await (await connect()).createChannel()
    expect(await answers(channel)).to.equal(true)
    await (await connectOnce(url, 'a tool under test')).close()
  })

  it('is entered past a node that takes the connection and says nothing', async function () {
    this.timeout(30_000)
    ways[0]?.fallSilent()
    expect(await answers(await (await connect()).createChannel())).to.equal(true)
  })

  it('keeps a channel through the loss of one node after the other', async () => {
    const opened = await connect()
    const kept = new KeptChannel<Channel>({
      open: () => opened.createChannel(),
      prepare: async () => undefined,
      lost: () => undefined,
      log: world.log,
    })
    await kept.open()
    for (const away of [0, 1, 2, 0]) {
      const before = kept.current
      await ways[away]?.cut()
      await until(
        `another channel without node ${away}`,
        async () => kept.current !== before && answers(kept.current),
      )
      await ways[away]?.restore()
    }
    await kept.close()
  })

  it('is said to be unusable, with all its hosts and no password, when every node is away', async () => {
    for (const way of ways) await way.cut()
    const error = await connect().then(
      () => undefined,
      (reason: unknown) => reason as Error,
    )
    expect(error).to.be.an.instanceOf(ServiceError)
    for (const way of ways) expect(error?.message).to.contain(new URL(way.urlOf(url.replace(/,.*/, ''))).host)
    expect(error?.message).not.to.contain(new URL(world.config.amqpUrl).password)
    const refusal = await connectOnce(url, 'a tool under test').catch((reason: unknown) => reason)
    expect(refusal).to.be.an('error').with.property('message').that.contains('ECONNREFUSED')
  })
})
