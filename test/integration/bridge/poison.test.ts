import { randomUUID } from 'node:crypto'
import { describe, it } from 'mocha'
import { orderCreated } from '../../../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../../src/contracts/messages/stock-released.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { deadLetters, openSender } from '../../support/raw-messages.ts'
import { until } from '../../support/wait.ts'
import { createWorld } from '../../support/world.ts'

const reservation = () => ({
  v: 1,
  rid: randomUUID(),
  event_id: randomUUID(),
  user_id: randomUUID(),
  quantity: 1,
  epoch: 1,
  reserved_at_ms: Date.now(),
  request_id: 'test-request',
})

/**
 * Values of the right type that a store can not hold. Each has a world of its own: where one of them is not
 * recognised, it is tried again for ever, and nothing behind it in its queue moves any more.
 */
const POISON: Record<string, { message: { key: string }; change: object }> = {
  'an epoch beyond what PostgreSQL holds': { message: reservationAccepted, change: { epoch: 2 ** 40 } },
  'a request id with a NUL': { message: reservationAccepted, change: { request_id: 'a\u0000b' } },
  'a request id with half a character': { message: reservationAccepted, change: { request_id: '\ud800' } },
  'a time of reservation after all times': {
    message: reservationAccepted,
    change: { reserved_at_ms: Number.MAX_SAFE_INTEGER },
  },
  'a deadline after all times': {
    message: orderCreated,
    change: { order_id: randomUUID(), expires_at_ms: Number.MAX_SAFE_INTEGER },
  },
  'an event that does not exist': { message: reservationAccepted, change: {} },
  'a release of an event that does not exist': { message: stockReleased, change: { reason: 'lapsed' } },
}

describe('a message of the right shape with a value that no store can hold', () => {
  for (const [what, { message, change }] of Object.entries(POISON))
    it(`does not hold up the message behind it: ${what}`, async () => {
      const world = await createWorld()
      const sender = await openSender(world)
      const dead = openQueue('dead-letter', world.config.namespace, world.queueRedis)
      try {
        await world.start('workers')
        await sender.sendSigned(message, { ...reservation(), ...change })
        await sender.sendSigned(message, 'a bad one behind it, which ends as a dead letter')
        await until('the bad one among the dead letters', async () =>
          (await deadLetters(dead, 1)).some((letter) => letter.reason === 'not JSON'),
        )
        const [buyer] = await createBuyers(world, 1)
        const eventId = await createSale(world)
        const good = { ...reservation(), event_id: eventId, user_id: buyer?.user_id }
        await sender.sendSigned(reservationAccepted, good)
        await until(
          'the order of a good one',
          () => world.knex('orders').where({ reservation_id: good.rid }).first('id'),
          8_000,
        )
      } finally {
        await sender.close()
        await dead.close()
        await world.close()
      }
    })
})
