import { SYSTEM } from '../../../src/audit/audit.ts'
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import { endSale, pauseSale, resumeSale } from '../../../src/sale.ts'
import { buy, order, pay, readOrder } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'

describe('a purchase that the sale refuses', () => {
  let world: World
  let api: Client
  let buyer: LoadBuyer
  let other: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    ;[buyer, other] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
  })
  after(() => world.close())

  /** Buys from an event that is at rest, and sees that the refusal left everything as it was. */
  async function refused(
    eventId: string,
    status: number,
    error: string,
    who = buyer,
    json: object = {},
  ): Promise<Reply<unknown>> {
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    const reply = await buy(api, eventId, who, json)
    expectRefusal(reply, status, error)
    expect(await stateOf(world, eventId)).to.deep.equal(before)
    return reply
  }

  it('says 404 for an event that does not exist, and the same for a draft', async () => {
    await refused(randomUUID(), 404, 'NOT_FOUND')
    await refused(await createDraft(world), 404, 'NOT_FOUND')
  })

  it('says how long it is until the sale starts', async () => {
    const eventId = await createSale(world, { startAt: new Date(Date.now() + 60_000) })
    const { body } = await refused(eventId, 409, 'SALE_NOT_STARTED')
    expect((body.data as { starts_in_ms: number }).starts_in_ms).to.be.within(40_000, 60_000)
  })

  it('says that a sale which was ended is over', async () => {
    const eventId = await createSale(world)
    await endSale(world, eventId, SYSTEM)
    await refused(eventId, 409, 'SALE_ENDED')
  })

  it('ends the sale by the clock of Redis, with nobody ending it', async () => {
    const eventId = await createSale(world, { endAt: new Date(Date.now() + 400) })
    await until('the window to be over', async () => (await redisNow(world)) > (await endOf(eventId)))
    expectRefusal(await buy(api, eventId, buyer), 409, 'SALE_ENDED')
    const taken = ['holders', 'states', 'log'].map((name) => `{spike:${eventId}}:${name}`)
    expect(await world.redis.exists(...taken)).to.equal(0)
    await endSale(world, eventId, SYSTEM) // so that no sweep does it while another test compares states
  })

  it('says when to come back to a paused sale, and sells again after it is resumed', async () => {
    const eventId = await createSale(world)
    await pauseSale(world, eventId, SYSTEM)
    const reply = await refused(eventId, 503, 'SALE_PAUSED')
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
    await resumeSale(world, eventId, SYSTEM)
    await order(api, eventId, buyer)
  })

  it('tells NOT_READY from NOT_FOUND when Redis has lost the gate of a sale', async () => {
    const eventId = await createSale(world)
    await world.redis.unlink(`{spike:${eventId}}:gate`)
    const reply = await buy(api, eventId, buyer)
    expectRefusal(reply, 503, 'NOT_READY')
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
    expect(await world.redis.exists(`{spike:${eventId}}:states`)).to.equal(0)
  })

  it('says ALL_HELD while a unit may come back, and SOLD_OUT once all are paid', async () => {
    const eventId = await createSale(world, { stock: 1 })
    const { orderId } = await order(api, eventId, buyer)
    await refused(eventId, 409, 'ALL_HELD', other)
    await pay(api, orderId, buyer)
    await until(
      'redis to hear of the payment',
      async () => (await world.redis.hget(`{spike:${eventId}}:gate`, 'paid')) === '1',
    )
    await refused(eventId, 409, 'SOLD_OUT', other)
  })

  it('gives a lapsed unit to whoever comes next, and no second one to a buyer beyond the limit', async () => {
    const eventId = await createSale(world, { stock: 1, paymentWindowS: 1, lapseLimit: 0 })
    const { orderId } = await order(api, eventId, buyer)
    await until('the order to lapse', async () => (await readOrder(api, orderId, buyer)).status === 'closed')
    expect((await readOrder(api, orderId, buyer)).close_reason).to.equal('lapsed')
    await until(
      'the unit to be back',
      async () => (await world.redis.get(`{spike:${eventId}}:stock`)) === '1',
    )
    await refused(eventId, 409, 'LAPSE_LIMIT')
    const next = await order(api, eventId, other)
    expect(next.orderId).to.not.equal(orderId)
    await until(
      'that one to lapse, too',
      async () => (await readOrder(api, next.orderId, other)).status === 'closed',
    )
    await until(
      'its unit to be back',
      async () => (await world.redis.get(`{spike:${eventId}}:stock`)) === '1',
    )
  })

  it('names the limit of units a buyer, from the first unit above it', async () => {
    const eventId = await createSale(world, { perUserLimit: 2 })
    const { body } = await refused(eventId, 400, 'VALIDATION_FAILED', buyer, { quantity: 3 })
    expect(JSON.stringify(body.data)).to.include('quantity').and.to.include('2')
    await order(api, eventId, buyer, { quantity: 2 })
  })

  it('says ALL_HELD to who wants more units than are left, and sells what is left to others', async () => {
    const eventId = await createSale(world, { stock: 2, perUserLimit: 3 })
    await refused(eventId, 409, 'SOLD_OUT', buyer, { quantity: 3 })
    await order(api, eventId, buyer, { quantity: 1 })
    await refused(eventId, 409, 'ALL_HELD', other, { quantity: 2 })
    await order(api, eventId, other, { quantity: 1 })
  })

  for (const [what, lose] of Object.entries({
    deleted: (id: string) => world.knex('users').where({ id }).delete(),
    disabled: (id: string) => world.knex('users').where({ id }).update({ disabled: true }),
  }))
    it(`makes no order for a ${what} account whose token is still good, and keeps no unit`, async () => {
      const eventId = await createSale(world)
      const account = await createAccount(world)
      await lose(account.id)
      const buyer = { user_id: account.id, email: account.email, access_token: account.token }
      const reply = await buy(api, eventId, buyer)
      // The revocation may not have come yet; it comes while the verdict is made, so the buyer can't be asked for it.
      if (reply.status !== 202) expectRefusal(reply, 401, 'UNAUTHENTICATED')
      else
        await until('the verdict', async () => {
          const rid = reply.body.data.reservation_id
          const row = await world.knex('reservations').where({ rid }).first('status', 'void_reason')
          return row?.status === 'void' && row.void_reason === 'unknown_buyer'
        })
      expect(await world.knex('orders').where({ event_id: eventId })).to.deep.equal([])
      await until(
        'the unit to be back',
        async () => (await world.redis.get(`{spike:${eventId}}:stock`)) === '10',
      )
    })

  async function endOf(eventId: string): Promise<number> {
    return Number(await world.redis.hget(`{spike:${eventId}}:gate`, 'end_ms'))
  }
})

async function redisNow(world: World): Promise<number> {
  const [seconds, micros] = await world.redis.time()
  return Number(seconds) * 1_000 + Number(micros) / 1_000
}
