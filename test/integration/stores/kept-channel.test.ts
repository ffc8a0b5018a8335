import { expect } from 'chai'
import type { Channel } from 'amqplib'
import { after, afterEach, before, describe, it } from 'mocha'
import {
  connectRabbit,
  KeptChannel,
  type RabbitConnection,
} from '../../../src/platform/rabbitmq/connection.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const NO_QUEUE = 'there-is-no-such-queue'

describe('KeptChannel', () => {
  let world: World
  let cable: Proxy
  let connection: RabbitConnection
  let kept: KeptChannel<Channel>
  const opened: Channel[] = []
  let lost = 0
  let failures = 0
  before(async () => {
    world = await createWorld()
    cable = await Proxy.before(world.config.amqpUrl)
    connection = await connectRabbit(cable.urlOf(world.config.amqpUrl), 'channels under test', world.log)
  })
  afterEach(() => kept.close())
  after(async () => {
    await connection.close()
    await cable.cut()
    await world.close()
  })

  /** A channel whose preparation is refused by the broker, which closes it, as often as `failures` says. */
  const make = () => {
    opened.length = lost = failures = 0
    kept = new KeptChannel<Channel>({
      open: async () => {
        const channel = await connection.createChannel()
        opened.push(channel)
        return channel
      },
      prepare: async (channel) => {
        if (failures-- > 0) await channel.checkQueue(NO_QUEUE)
      },
      lost: () => lost++,
      log: world.log,
    })
    return kept.open()
  }
  const breakCurrent = () => kept.current?.checkQueue(NO_QUEUE).catch(() => undefined)
  /** The channel that is kept, once it answers. */
  const answering = () =>
    until('a channel that answers', async () => {
      const channel = kept.current
      return (
        channel &&
        (await channel.prefetch(1).then(
          () => channel,
          () => undefined,
        ))
      )
    })

  it('replaces a channel that the broker has closed, and tells of the loss once', async () => {
    await make()
    const first = kept.current
    await breakCurrent()
    expect(await answering()).not.to.equal(first)
    expect([opened.length, lost]).to.deep.equal([2, 1])
  })

  it('replaces a channel that went with its connection', async () => {
    await make()
    const first = kept.current
    await cable.cut()
    await cable.restore()
    await until('the loss', () => lost === 1)
    expect(await answering()).not.to.equal(first)
  })

  it('opens one channel at a time while the broker refuses what it prepares', async () => {
    await make()
    failures = 4
    await breakCurrent()
    await until('the end of the refusals', () => failures < 0)
    await answering()
    expect(opened.length, 'first one, four refused, the last').to.equal(6)
  })

  it('opens no channel any more once it is closed', async () => {
    await make()
    await kept.close()
    expect(kept.current).to.equal(undefined)
    expect([opened.length, lost], 'a channel that we close is gone too').to.deep.equal([1, 1])
  })
})
