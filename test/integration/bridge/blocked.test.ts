import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { declareTopology } from '../../../src/contracts/messages/topology.ts'
import { connectRabbit, type RabbitConnection } from '../../../src/platform/rabbitmq/connection.ts'
import { ConfirmPublisher } from '../../../src/platform/rabbitmq/publisher.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** The broker's words are given to the client by hand: an alarm would block whoever else uses this broker. */
describe('a publisher whose broker is short of memory', () => {
  let world: World
  let cable: Proxy
  let connection: RabbitConnection
  let publisher: ConfirmPublisher
  before(async () => {
    world = await createWorld()
    cable = await Proxy.before(world.config.amqpUrl)
    connection = await connectRabbit(cable.urlOf(world.config.amqpUrl), 'publisher under test', world.log)
    publisher = new ConfirmPublisher({
      connection,
      exchange: world.topology.exchange,
      maxUnconfirmed: 10,
      prepare: (channel) => declareTopology(channel, world.topology),
      log: world.log,
    })
    await publisher.start()
  })
  after(async () => {
    await publisher.stop()
    await connection.close()
    await cable.cut()
    await world.close()
  })

  it('is blocked until the broker says that it is not', () => {
    expect(publisher.isBlocked).to.equal(false)
    connection.emit('blocked', 'low on memory')
    expect(publisher.isBlocked).to.equal(true)
    connection.emit('unblocked')
    expect(publisher.isBlocked).to.equal(false)
  })

  it('is not blocked any more on a new connection', async () => {
    connection.emit('blocked', 'low on memory')
    await cable.cut()
    await until('the loss', () => !publisher.isOpen)
    await cable.restore()
    await until('a new channel', () => publisher.isOpen)
    expect(publisher.isBlocked).to.equal(false)
  })
})
