import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { bearer, createApiClient, dataOf } from '../../tools/lib/api-client.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { Proxy } from '../support/proxy.ts'
import { createStage, judgeAtRest, type Stage } from '../support/stage.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const STOP_WITHIN_MS = 25_000

describe('a broker that falls silent in the middle of a sale', () => {
  let world: World
  let stage: Stage
  let broker: Proxy
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off', LOG_LEVEL: 'info' })
    broker = await Proxy.before(world.config.amqpUrl)
    stage = createStage({ ...world, env: { ...world.env, AMQP_URL: broker.urlOf(world.config.amqpUrl) } })
    await Promise.all([stage.start('api'), stage.start('workers')])
  })
  after(async () => {
    await broker.restore()
    await stage.close()
    await broker.cut()
    await world.close()
  })

  it('keeps neither process from stopping in time, and what buyers were told comes true afterwards', async function () {
    this.timeout(120_000)
    const eventId = await createSale(world, { stock: 20 })
    const buyers = await createBuyers(world, 12)
    broker.fallSilent()
    const client = createApiClient(world.apiUrl, 12)
    const replies = await Promise.all(
      buyers.map((buyer) =>
        dataOf(
          client.shop.POST('/api/v1/spike-events/{id}/orders', {
            headers: bearer(buyer.access_token),
            params: { path: { id: eventId } },
            body: {},
          }),
        ),
      ),
    )
    client.close()
    // No confirm came, so nobody was promised more than that the unit is taken.
    expect(replies.map(({ status }) => status)).to.deep.equal(buyers.map(() => 'reserving'))

    const began = Date.now()
    const codes = await Promise.all([...stage.processes.values()].map((process) => process.stop()))
    expect(codes).to.deep.equal([0, 0])
    expect(Date.now() - began).to.be.below(STOP_WITHIN_MS)

    await broker.restore()
    await Promise.all([stage.start('api'), stage.start('workers')])
    const told = replies.map((reply) => reply.reservation_id)
    await until('every verdict', async () => {
      const [row] = await world.knex('reservations').where({ event_id: eventId, status: 'ordered' }).count()
      return row?.count === told.length
    })
    await world.knex('orders').where('event_id', eventId).update({ expires_at: world.knex.fn.now() })
    const { facts, invariants } = await judgeAtRest(world, eventId, told)
    expect(invariants.filter(({ ok }) => !ok)).to.deep.equal([])
    expect(facts.ledger.reservations).to.deep.equal({ undecided: 0, ordered: 12, void: 0 })
  })
})
