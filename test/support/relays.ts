/** The loops of the net that look after the reservation log and stuck holds, without the rest of the workers. */
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { declareTopology } from '../../src/contracts/messages/topology.ts'
import type { Loop } from '../../src/platform/loop.ts'
import { closeRabbit, connectRabbit } from '../../src/platform/rabbitmq/connection.ts'
import { ConfirmPublisher } from '../../src/platform/rabbitmq/publisher.ts'
import { queueDepth } from '../../src/platform/rabbitmq/queue-depth.ts'
import { Republisher } from '../../workers/relay/republisher.ts'
import type { World } from './world.ts'

export interface Net {
  /** Publishes to a queue that nobody consumes. */
  republisher: Republisher
  backlog: () => Promise<number>
  /** How often a loop has asked for the backlog. */
  asked: () => number
  /** Runs a loop until the work is done. */
  during<T>(loop: Loop, work: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** @param amqpUrl the way to the broker; the queues are declared on it */
export async function openNet(world: World, amqpUrl = world.config.amqpUrl): Promise<Net> {
  const { topology, scripts, log } = world
  const connection = await connectRabbit(amqpUrl, 'spike-test net', log)
  const publisher = new ConfirmPublisher({
    connection,
    exchange: topology.exchange,
    maxUnconfirmed: 100,
    prepare: (channel) => declareTopology(channel, topology),
    log,
  })
  await publisher.start()
  let asked = 0
  return {
    republisher: new Republisher({ scripts, publisher, log }),
    backlog: () => {
      asked++
      return queueDepth(connection, topology.queueOf(reservationAccepted))
    },
    asked: () => asked,
    async during(loop, work) {
      loop.start()
      try {
        return await work()
      } finally {
        await loop.stop()
      }
    },
    async close() {
      await publisher.stop()
      await closeRabbit(connection)
    },
  }
}
