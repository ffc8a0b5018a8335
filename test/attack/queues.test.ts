import { randomUUID } from 'node:crypto'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import { encodeMessage } from '../../src/contracts/messages/message.ts'
import { orderCreated } from '../../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../src/contracts/messages/stock-released.ts'
import { MESSAGES } from '../../src/contracts/messages/topology.ts'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { buy, order } from '../support/buying.ts'
import type { Client } from '../support/http.ts'
import {
  deadLetters,
  forgetDead,
  openSender,
  openTap,
  signatureOn,
  type Sender,
} from '../support/raw-messages.ts'
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
  /** Sends what the product itself would have sent: the sender is inside. */
  const tell = (input: Parameters<typeof accepted>) =>
    sender.sendGenuine(reservationAccepted, accepted(...input))
  const verdictOf = (rid: string) =>
    until(`a verdict on ${rid}`, async () => {
      const row = await world.knex('reservations').where({ rid }).first('status', 'void_reason')
      return row !== undefined && row.status !== 'undecided' && `${row.status} ${row.void_reason}`
    })
  const jobStates = async (step: string, id: string) =>
    (await queues[step]?.getJob(`${step}-${id}`))?.getState()
  const noLetters = () => forgetDead(queues['dead-letter'] as Queue, ...steps())
  const steps = () => Object.values(queues).filter(({ name }) => name !== 'dead-letter')
  const lettersOf = async (count: number) => deadLetters(queues['dead-letter'] as Queue, count)
  const releaseOf = (rid: string, eventId: string, { user_id }: LoadBuyer) => ({
    rid,
    event_id: eventId,
    user_id,
    quantity: 1,
    reason: 'lapsed' as const,
  })

  attack(
    'well-formed messages of each kind without a signature, or with one that is wrong: nothing changes',
    async () => {
      const eventId = await createSale(world)
      const [owner, stranger] = [nextBuyer(), nextBuyer()]
      const { rid, orderId } = await order(api, eventId, owner)
      await atRest(world, eventId)
      await noLetters()
      const forged = [
        [reservationAccepted, encodeMessage(reservationAccepted, accepted(eventId, stranger.user_id))],
        [orderCreated, encodeMessage(orderCreated, { order_id: orderId, expires_at_ms: 1 })],
        [stockReleased, encodeMessage(stockReleased, releaseOf(rid, eventId, owner))],
      ] as const
      const signatures = (kind: { key: string }, body: Buffer): unknown[] => {
        const right = signatureOn(world, kind, body)['x-signature'] ?? ''
        const another = signatureOn(world, { key: `${kind.key}.` }, body)['x-signature']
        return [undefined, '', 'x'.repeat(43), 7, [right], right.slice(1), another]
      }
      await unchanged(world, [eventId], async () => {
        let sent = 0
        for (const [kind, body] of forged)
          for (const signature of signatures(kind, body)) {
            const headers = signature === undefined ? {} : { 'x-signature': signature }
            await sender.send(world.topology.queueOf(kind), body, { headers, messageId: `forged-${sent++}` })
          }
        const letters = await lettersOf(sent)
        for (const letter of letters) expect(letter.reason).to.equal('not signed by this shop')
      })
      expect(await jobStates('release-stock', rid)).to.equal(undefined)
    },
  )

  attack('a genuine message with another word in it: nothing changes', async () => {
    const eventId = await createSale(world)
    const [honest, greedy] = [nextBuyer(), nextBuyer()]
    const body = encodeMessage(reservationAccepted, accepted(eventId, honest.user_id))
    const headers = signatureOn(world, reservationAccepted, body)
    await noLetters()
    await unchanged(world, [eventId], async () => {
      const edited = body.toString().replace(honest.user_id, greedy.user_id)
      await sender.send(world.topology.queueOf(reservationAccepted), edited, { headers })
      expect(await lettersOf(1)).to.have.length(1)
    })
  })

  attack(
    'genuine messages, recorded and sent five times more, also to other queues: nothing changes',
    async () => {
      const eventId = await createSale(world)
      const [owner, leaver] = [nextBuyer(), nextBuyer()]
      const tap = await openTap(world)
      const kept = await order(api, eventId, owner)
      const left = await order(api, eventId, leaver)
      await api('POST', `/orders/${left.orderId}/cancel`, { token: leaver.access_token })
      const recorded = await tap.records(5)
      await tap.close()
      await until(
        'the unit to be back',
        async () => (await world.redis.get(spikeKeys(eventId).stock)) === '9',
      )
      await atRest(world, eventId)
      await noLetters()
      await unchanged(world, [eventId], async () => {
        for (const message of recorded)
          for (let i = 0; i < 5; i++)
            for (const kind of MESSAGES)
              await sender.send(world.topology.queueOf(kind), message.body, message)
        // Each is refused by the two queues that are not its own.
        expect(await lettersOf(recorded.length * 10)).to.have.length(recorded.length * 10)
        await atRest(world, eventId)
      })
      expect(await jobStates('release-stock', kept.rid)).to.equal(undefined)
      expect(await expectConserved(world.knex, eventId)).to.equal(9)
    },
  )

  attack('signed messages for an event or a buyer that is not there: void, no order', async () => {
    const eventId = await createSale(world)
    const [rid, other] = [randomUUID(), randomUUID()]
    await tell([randomUUID(), nextBuyer().user_id, { rid }])
    await tell([eventId, randomUUID(), { rid: other }])
    expect(await verdictOf(rid)).to.equal('void unknown_event')
    expect(await verdictOf(other)).to.equal('void unknown_buyer')
    await atRest(world, eventId)
    expect(await expectConserved(world.knex, eventId)).to.equal(10)
    expect(await world.knex('orders').where({ event_id: eventId })).to.deep.equal([])
  })

  attack(
    'with the key of the shop, 40 reservations for 5 units, and a buyer behind them: 5 orders, nothing oversold',
    async () => {
      const eventId = await createSale(world, { stock: 5 })
      await Promise.all((await buyerIds(world, 40)).map((userId) => tell([eventId, userId])))
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

  attack('with the key, a second reservation for a buyer who has one: void, one live claim', async () => {
    const eventId = await createSale(world)
    const buyer = nextBuyer()
    await order(api, eventId, buyer)
    const rid = randomUUID()
    await tell([eventId, buyer.user_id, { rid }])
    expect(await verdictOf(rid)).to.equal('void duplicate')
    await atRest(world, eventId)
    expect(await world.knex('spike_orders').where({ event_id: eventId, live: true })).to.have.length(1)
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
  })

  attack(
    'with the key, a known reservation with another buyer, event and quantity: the first word stands',
    async () => {
      const [eventId, other] = [await createSale(world), await createSale(world)]
      const { rid } = await order(api, eventId, nextBuyer())
      await atRest(world, eventId)
      await unchanged(world, [eventId, other], async () => {
        await tell([other, nextBuyer().user_id, { rid, quantity: 100 }])
        await until(
          'it to be bridged',
          async () => (await sender.depth(world.topology.queueOf(reservationAccepted))) === 0,
        )
        await atRest(world, eventId, other)
      })
    },
  )

  attack('with the key, a deadline of yesterday for an order that has time: it stays pending', async () => {
    const eventId = await createSale(world)
    const { orderId } = await order(api, eventId, nextBuyer())
    await sender.sendGenuine(orderCreated, {
      order_id: orderId,
      expires_at_ms: Date.now() - 86_400_000,
    })
    const job = await until('the job', () => queues['close-order']?.getJob(`close-order-${orderId}`))
    await until('the job to be looked at or to wait', async () => (await job.getState()) !== 'active')
    expect(await world.knex('orders').where({ id: orderId }).first('status')).to.deep.equal({
      status: 'pending',
    })
  })

  attack(
    'releases of a sold unit, as message with the key and as jobs: PostgreSQL is asked, nothing is freed',
    async () => {
      const eventId = await createSale(world, { stock: 1 })
      const owner = nextBuyer()
      const { rid } = await order(api, eventId, owner)
      await atRest(world, eventId)
      await noLetters()
      const release = releaseOf(rid, eventId, owner)
      await unchanged(world, [eventId], async () => {
        await sender.sendGenuine(stockReleased, release)
        await queues['release-stock']?.add('release-stock', release)
        await queues['release-stock']?.add('release-stock', { ...release, quantity: 100 })
        const letters = await lettersOf(3)
        for (const letter of letters) expect(letter.reason).to.include('not let go')
      })
      expect(await world.redis.get(spikeKeys(eventId).stock)).to.equal('0')
      const reply = await buy(api, eventId, nextBuyer())
      expect(reply.status, reply.text).to.equal(409)
    },
  )

  attack('a failed job under the name of the release to come: the unit goes back all the same', async () => {
    const eventId = await createSale(world, { stock: 1 })
    const owner = nextBuyer()
    const { rid, orderId } = await order(api, eventId, owner)
    await atRest(world, eventId)
    await queues['release-stock']?.add(
      'release-stock',
      { rid: randomUUID() },
      { jobId: `release-stock-${rid}` },
    )
    await until('its failure', async () => (await jobStates('release-stock', rid)) === 'failed')
    await api('POST', `/orders/${orderId}/cancel`, { token: owner.access_token })
    await until('the unit to be back', async () => (await world.redis.get(spikeKeys(eventId).stock)) === '1')
    expect(await expectConserved(world.knex, eventId)).to.equal(1)
  })

  attack(
    'messages that are none, of other versions, or of prototypes: dead letters, nothing stored',
    async () => {
      const dead = queues['dead-letter'] as Queue
      await atRest(world)
      await noLetters()
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
        for (const body of bodies) await sender.sendSigned(reservationAccepted, body)
        expect(await deadLetters(dead, bodies.length)).to.have.length(bodies.length)
      })
    },
  )

  attack('jobs put straight into BullMQ for what is not there: dead letters, nothing stored', async () => {
    const dead = queues['dead-letter'] as Queue
    await atRest(world)
    await noLetters()
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
