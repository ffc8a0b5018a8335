import { randomUUID } from 'node:crypto'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import { encodeMessage } from '../../src/contracts/messages/message.ts'
import { orderCreated } from '../../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../src/contracts/messages/stock-released.ts'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { buy, order, verdictOn } from '../support/buying.ts'
import type { Client } from '../support/http.ts'
import { deadLetters, openSender, type Sender } from '../support/raw-messages.ts'
import { accepted, buyerIds, expectConserved } from '../support/reservations.ts'
import { atRest } from '../support/state.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks past the API, with access to the queues', () => {
  let world: World
  let api: Client
  let sender: Sender
  let buyers: LoadBuyer[]
  const queues: Record<string, Queue> = {}

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    sender = await openSender(world)
    buyers = await createBuyers(world, 20)
    for (const { step } of JOBS) queues[step] = openQueue(step, world.config.namespace, world.queueRedis)
  })
  after(async () => {
    for (const queue of Object.values(queues)) await queue.close()
    await sender.close()
    await world.close()
  })

  const nextBuyer = (): LoadBuyer => buyers.pop() as LoadBuyer
  const forge = (input: Parameters<typeof accepted>) =>
    sender.send(world.topology.queueOf(reservationAccepted), encodeMessage(accepted(...input)))
  const verdictOf = (rid: string) =>
    until(`a verdict on ${rid}`, async () => {
      const row = await world.knex('reservations').where({ rid }).first('status', 'void_reason')
      return row !== undefined && row.status !== 'undecided' && `${row.status} ${row.void_reason}`
    })

  attack('messages for an event or a buyer that is not there: void, no order', async () => {
    const eventId = await createSale(world)
    const [rid, other] = [randomUUID(), randomUUID()]
    await forge([randomUUID(), nextBuyer().user_id, { rid }])
    await forge([eventId, randomUUID(), { rid: other }])
    expect(await verdictOf(rid)).to.equal('void unknown_event')
    expect(await verdictOf(other)).to.equal('void unknown_buyer')
    await atRest(world, eventId)
    expect(await expectConserved(world.knex, eventId)).to.equal(10)
    expect(await world.knex('orders').where({ event_id: eventId })).to.deep.equal([])
  })

  attack(
    '40 forged reservations for 5 units, and a buyer behind them: 5 orders, nothing oversold',
    async () => {
      const eventId = await createSale(world, { stock: 5 })
      await Promise.all((await buyerIds(world, 40)).map((userId) => forge([eventId, userId])))
      await until('40 verdicts', async () => {
        const decided = await world
          .knex('reservations')
          .where({ event_id: eventId })
          .whereNot('status', 'undecided')
        return decided.length === 40
      })
      await atRest(world, eventId)
      expect(await world.knex('orders').where({ event_id: eventId })).to.have.length(5)
      expect(await expectConserved(world.knex, eventId)).to.equal(0)
      const late = await buy(api, eventId, nextBuyer())
      expect([202, 409]).to.include(late.status)
      await atRest(world, eventId)
      expect(await world.knex('orders').where({ event_id: eventId })).to.have.length(5)
    },
  )

  attack('a second reservation for a buyer who has one: void, one live claim', async () => {
    const eventId = await createSale(world)
    const buyer = nextBuyer()
    await order(api, eventId, buyer)
    const rid = randomUUID()
    await forge([eventId, buyer.user_id, { rid }])
    expect(await verdictOf(rid)).to.equal('void duplicate')
    await atRest(world, eventId)
    expect(await world.knex('spike_orders').where({ event_id: eventId, live: true })).to.have.length(1)
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
  })

  attack(
    'a known reservation sent again with another buyer, event and quantity: the first word stands',
    async () => {
      const [eventId, other] = [await createSale(world), await createSale(world)]
      const { rid } = await order(api, eventId, nextBuyer())
      await atRest(world, eventId)
      await unchanged(world, [eventId, other], async () => {
        await forge([other, nextBuyer().user_id, { rid, quantity: 100 }])
        await until(
          'it to be bridged',
          async () => (await sender.depth(world.topology.queueOf(reservationAccepted))) === 0,
        )
        await atRest(world, eventId, other)
      })
    },
  )

  attack('a deadline of yesterday for an order that has time: it stays pending', async () => {
    const eventId = await createSale(world)
    const { orderId } = await order(api, eventId, nextBuyer())
    await sender.send(
      world.topology.queueOf(orderCreated),
      encodeMessage({ order_id: orderId, expires_at_ms: Date.now() - 86_400_000 }),
    )
    const job = await until('the job', () => queues['close-order']?.getJob(`close-order-${orderId}`))
    await until('the job to be looked at or to wait', async () => (await job.getState()) !== 'active')
    expect(await world.knex('orders').where({ id: orderId }).first('status')).to.deep.equal({
      status: 'pending',
    })
  })

  attack(
    'a release of a unit that is sold: the next buyer of the last unit is refused by PostgreSQL',
    async () => {
      const eventId = await createSale(world, { stock: 1 })
      const [owner, next] = [nextBuyer(), nextBuyer()]
      const { rid } = await order(api, eventId, owner)
      await atRest(world, eventId)
      await sender.send(
        world.topology.queueOf(stockReleased),
        encodeMessage({ rid, event_id: eventId, user_id: owner.user_id, quantity: 1, reason: 'lapsed' }),
      )
      await until(
        'redis to believe it',
        async () => (await world.redis.get(spikeKeys(eventId).stock)) === '1',
      )
      const reply = await buy(api, eventId, next)
      expect(reply.status, reply.text).to.equal(202)
      const verdict = await verdictOn(api, reply.body.data.reservation_id, next)
      expect(verdict).to.include({ status: 'void', reason: 'sold_out' })
      expect(await expectConserved(world.knex, eventId)).to.equal(0)
      expect(await world.knex('orders').where({ event_id: eventId })).to.have.length(1)
    },
  )

  attack(
    'messages that are none, of other versions, or of prototypes: dead letters, nothing stored',
    async () => {
      const dead = queues['dead-letter'] as Queue
      await atRest(world)
      await dead.drain()
      await unchanged(world, [], async () => {
        const bodies = [
          '{"v":1,',
          '[]',
          'null',
          { v: 2, ...accepted(randomUUID(), randomUUID()) },
          { v: 1, ...accepted(randomUUID(), randomUUID()), quantity: 1e9 },
          `{"v":1,"__proto__":{"rid":"${randomUUID()}"}}`,
          Buffer.from([0xff, 0x00, 0xfe]),
        ]
        for (const body of bodies) await sender.send(world.topology.queueOf(reservationAccepted), body)
        expect(await deadLetters(dead, bodies.length)).to.have.length(bodies.length)
      })
    },
  )

  attack('jobs put straight into BullMQ for what is not there: dead letters, nothing stored', async () => {
    const dead = queues['dead-letter'] as Queue
    await atRest(world)
    await dead.drain()
    await unchanged(world, [], async () => {
      for (const [step, data] of [
        ['create-order', { rid: randomUUID() }],
        ['create-order', { rid: randomUUID(), user_id: randomUUID(), quantity: 5 }],
        ['close-order', { order_id: randomUUID() }],
        ['release-stock', { rid: randomUUID(), quantity: 1_000 }],
      ] as const)
        await queues[step]?.add(step, data, { jobId: `${step}-${randomUUID()}` })
      expect(await deadLetters(dead, 4)).to.have.length(4)
    })
  })
})
