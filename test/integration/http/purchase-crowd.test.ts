import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { bearer, createApiClient, type ApiClient } from '../../../tools/lib/api-client.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { atRest } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('many purchases at once', () => {
  let world: World
  let client: ApiClient

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    client = createApiClient(world.apiUrl, 100)
  })
  after(async () => {
    client.close()
    await world.close()
  })

  const buyAs = async (eventId: string, buyer: LoadBuyer) => {
    const { data, error, response } = await client.shop.POST('/api/v1/spike-events/{id}/orders', {
      headers: bearer(buyer.access_token),
      params: { path: { id: eventId } },
      body: {},
    })
    const refusal = error as { error?: string; data?: { reservation_id?: string } } | undefined
    return {
      status: response.status,
      error: refusal?.error,
      rid: data?.data.reservation_id ?? refusal?.data?.reservation_id,
    }
  }

  it('of one buyer take one unit: one 202, and 499 that name the same reservation', async () => {
    const eventId = await createSale(world, { stock: 500 })
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    const replies = await Promise.all(Array.from({ length: 500 }, () => buyAs(eventId, buyer)))
    const taken = replies.filter((reply) => reply.status === 202)
    expect(taken).to.have.length(1)
    const rid = taken[0]?.rid
    for (const reply of replies) expect(reply.rid).to.equal(rid)
    expect(replies.filter((reply) => reply.error === 'ALREADY_PURCHASED')).to.have.length(499)
    await atRest(world, eventId)
    expect(await claimsOf(eventId)).to.deep.equal([{ user_id: buyer.user_id, units: 1 }])
    expect(await world.redis.get(`{spike:${eventId}}:stock`)).to.equal('499')
  })

  it('of 300 buyers for 20 units make exactly 20 orders, and the answers say so', async () => {
    const eventId = await createSale(world, { stock: 20 })
    const buyers = await createBuyers(world, 300)
    const replies = await Promise.all(buyers.map((buyer) => buyAs(eventId, buyer)))
    const winners = buyers.filter((_buyer, i) => replies[i]?.status === 202)
    expect(winners).to.have.length(20)
    expect(replies.filter((reply) => reply.error === 'ALL_HELD')).to.have.length(280)
    await atRest(world, eventId)
    const claims = await claimsOf(eventId)
    expect(claims.map((claim) => claim.user_id)).to.have.members(winners.map((buyer) => buyer.user_id))
    const orders: { status: string; amount: number }[] = await world
      .knex('orders')
      .where('event_id', eventId)
      .select('status', 'amount')
    expect(orders).to.deep.equal(Array.from({ length: 20 }, () => ({ status: 'pending', amount: 500 })))
    expect(await world.knex('spike_events').where('id', eventId).first('granted', 'available')).to.deep.equal(
      {
        granted: 20,
        available: 0,
      },
    )
    expect(await world.scripts.countUnits({ eventId })).to.include({
      stock: 0,
      confirmed: 20,
      held: 0,
      queued: 0,
    })
  })

  async function claimsOf(eventId: string): Promise<{ user_id: string; units: number }[]> {
    return world
      .knex('spike_orders')
      .where({ event_id: eventId, live: true })
      .groupBy('user_id')
      .select('user_id', world.knex.raw('sum(quantity)::int AS units'))
  }
})
