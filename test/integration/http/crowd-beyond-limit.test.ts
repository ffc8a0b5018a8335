import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('an API with a crowd of more buyers than it may have in hand', () => {
  let world: World
  let root: Client
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off', MAX_IN_FLIGHT: '5' })
    await world.start('api')
    root = createClient(world.apiUrl)
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  async function metric(name: string): Promise<number> {
    const { text } = await root('GET', '/metrics')
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
  }

  const sells = async (path: string) => {
    const CROWD = 400
    const eventId = await createSale(world, { stock: CROWD * 2 })
    const [first, last, ...crowd] = (await createBuyers(world, CROWD + 2)) as [
      LoadBuyer,
      LoadBuyer,
      ...LoadBuyer[],
    ]
    const mine = (await buy(api, eventId, first)).body.data.reservation_id
    const shedBefore = await metric('http_requests_shed_total')
    const left = new Set(crowd.map((buyer) => buyer.access_token))
    const buying = crowd.map(({ access_token: token }) =>
      api('POST', `/spike-events/${eventId}/${path}`, { token }).finally(() => left.delete(token)),
    )
    let asked = 0
    for (; left.size > 0; asked++) {
      const reply = await api('GET', `/reservations/${mine}`, { token: first.access_token })
      expect(reply.status, reply.text).to.equal(200)
    }
    const replies = await Promise.all(buying)
    const accepted = replies.filter(({ status }) => status === 202)
    const refused = replies.filter(({ status }) => status !== 202)
    for (const reply of refused) {
      expectRefusal(reply, 503, 'OVERLOADED')
      expect(reply.headers.get('retry-after')).to.equal('1')
    }
    expect(asked).to.be.above(0)
    expect(accepted).to.not.have.length(0)
    expect(refused).to.not.have.length(0)
    expect(await metric('http_requests_shed_total')).to.equal(shedBefore + refused.length)
    expect(await world.redis.hlen(spikeKeys(eventId).holders)).to.equal(accepted.length + 1)
    expect(await world.redis.get(spikeKeys(eventId).stock)).to.equal(String(CROWD * 2 - accepted.length - 1))
    await until('a purchase to be accepted', async () => (await buy(api, eventId, last)).status === 202)
    await until('nothing to be in hand', async () => (await metric('http_requests_in_flight')) <= 1)
  }
  it('sells as much as it accepts to a crowd, answers those who have something, and then sells again', () =>
    sells('orders'))
  it('knows the crowd in every spelling of the path', () => sells('ORDERS/'))
})
