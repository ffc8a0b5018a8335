import type { Channel } from 'amqplib'
import { orderCreated } from './order-created.ts'
import { reservationAccepted } from './reservation-accepted.ts'
import { stockReleased } from './stock-released.ts'

/** The three kinds of message that cross RabbitMQ. */
export const MESSAGES = [reservationAccepted, orderCreated, stockReleased] as const

/**
 * Redeliveries before the broker itself parks a message. A store that is down costs none (the consumer keeps
 * its batch), so only a message that kills the process again and again gets there.
 */
const DELIVERY_LIMIT = 50

/** Names of one stack's exchange and queues on a broker. */
export interface Topology {
  exchange: string
  deadExchange: string
  deadQueue: string
  queueOf: (message: { key: string }) => string
}

export function topologyOf(namespace: string): Topology {
  return {
    exchange: namespace,
    deadExchange: `${namespace}.dead`,
    deadQueue: `${namespace}.dead`,
    queueOf: (message) => `${namespace}.${message.key}`,
  }
}

/** Everything of one stack on a broker, with the arguments that it must have. */
export function piecesOf(topology: Topology) {
  return {
    exchanges: [
      { name: topology.exchange, type: 'direct' },
      { name: topology.deadExchange, type: 'fanout' },
    ],
    queues: [
      {
        name: topology.deadQueue,
        from: { exchange: topology.deadExchange, key: '' },
        arguments: { 'x-queue-type': 'quorum' },
      },
      ...MESSAGES.map((message) => ({
        name: topology.queueOf(message),
        from: { exchange: topology.exchange, key: message.key },
        arguments: {
          'x-queue-type': 'quorum',
          'x-delivery-limit': DELIVERY_LIMIT,
          'x-dead-letter-exchange': topology.deadExchange,
          // The dead-letter queue has to confirm before this one lets go; needs reject-publish on overflow.
          'x-dead-letter-strategy': 'at-least-once',
          'x-overflow': 'reject-publish',
        },
      })),
    ],
  }
}

/** Declares exchanges, quorum queues and bindings. Every process does it at start, so the order does not matter. */
export async function declareTopology(channel: Channel, topology: Topology): Promise<void> {
  const { exchanges, queues } = piecesOf(topology)
  for (const { name, type } of exchanges) await channel.assertExchange(name, type, { durable: true })
  for (const { name, from, arguments: args } of queues) {
    await channel.assertQueue(name, { durable: true, arguments: args })
    await channel.bindQueue(name, from.exchange, from.key)
  }
}
