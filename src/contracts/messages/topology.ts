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

/** Declares exchanges, quorum queues and bindings. Every process does it at start, so the order does not matter. */
export async function declareTopology(channel: Channel, topology: Topology): Promise<void> {
  await channel.assertExchange(topology.exchange, 'direct', { durable: true })
  await channel.assertExchange(topology.deadExchange, 'fanout', { durable: true })
  await channel.assertQueue(topology.deadQueue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  await channel.bindQueue(topology.deadQueue, topology.deadExchange, '')
  for (const message of MESSAGES) {
    const queue = topology.queueOf(message)
    await channel.assertQueue(queue, {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-delivery-limit': DELIVERY_LIMIT,
        'x-dead-letter-exchange': topology.deadExchange,
        // The dead-letter queue has to confirm before this one lets go; needs reject-publish on overflow.
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      },
    })
    await channel.bindQueue(queue, topology.exchange, message.key)
  }
}
