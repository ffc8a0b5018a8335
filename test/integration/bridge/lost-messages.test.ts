import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { openBroker, type Broker } from '../../support/broker.ts'
import { buy } from '../../support/buying.ts'
import { createClient, type Client } from '../../support/http.ts'
import { expectConserved } from '../../support/reservations.ts'
import { atRest } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const RECOVERED_WITHIN_MS = 50_000

describe('a broker that loses what it has confirmed', () => {
  let world: World
  let api: Client
  let broker: Broker

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    broker = await openBroker(world)
  })
  after(async () => {
    await broker.close()
    await world.close()
  })

  it('does not keep any buyer from an order, nor does a lost log with it', async function () {
    this.timeout(90_000)
    const [eventId, unlogged] = [await createSale(world), await createSale(world)]
    const buyers = await createBuyers(world, 4)
    for (const id of [eventId, unlogged])
      for (const buyer of buyers) {
        const reply = await buy(api, id, buyer)
        expect(reply.body.data, reply.text).to.include({ status: 'queued' })
      }
    const queue = world.topology.queueOf(reservationAccepted)
    await until('all messages', async () => (await broker.ready(queue)) === 2 * buyers.length)
    await broker.channel.deleteQueue(queue)
    await world.redis.unlink(`{spike:${unlogged}}:log`)
    await world.start('workers')
    await until(
      'every order',
      async () => (await world.knex('orders').select('id')).length === 2 * buyers.length,
      RECOVERED_WITHIN_MS,
    )
    await atRest(world, eventId, unlogged)
    for (const id of [eventId, unlogged]) {
      expect(await expectConserved(world.knex, id)).to.equal(6)
      await until('all to be confirmed', async () => {
        const counts = await world.scripts.countUnits({ eventId: id })
        return counts !== 'NOT_READY' && counts.confirmed === buyers.length && counts.stock === 6
      })
    }
  })
})
