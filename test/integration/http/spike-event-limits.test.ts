import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { closeLapsedOrders } from '../../../src/orders/close.ts'
import { newRid } from '../../support/rids.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createAccount, createBuyers, type Account } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy, order, pay, verdictOn } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { expectConserved, letLapse } from '../../support/reservations.ts'
import { atRest } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the terms of a sale', () => {
  let world: World
  let api: Client
  let admin: Account
  let buyers: LoadBuyer[]

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    await world.start('workers')
    api = createClient(`${world.apiUrl}/api/v1`)
    admin = await createAccount(world, 'admin')
    buyers = await createBuyers(world, 20)
  })
  after(() => world.close())

  const nextBuyer = (): LoadBuyer => buyers.pop() as LoadBuyer
  const adjust = async (id: string, delta: number): Promise<void> => {
    const json = { delta, reason: 'test' }
    const reply = await api('POST', `/spike-events/${id}/stock`, { token: admin.token, json })
    expect(reply.status, reply.text).to.equal(201)
  }
  /** Moves the order's deadline into the past, closes it, and waits until Redis has the units back. */
  async function lapse(eventId: string, bought: { rid: string; orderId: string }): Promise<void> {
    await letLapse(world.knex, [bought.orderId])
    await closeLapsedOrders(world.knex, [bought.orderId])
    await until('the unit to be back', async () => {
      const record = await world.redis.hget(`{spike:${eventId}}:states`, bought.rid)
      return record?.startsWith('released|')
    })
  }

  for (const limit of [0, 1, 2])
    it(`lapse_limit ${limit}: a buyer may let ${limit} orders lapse and still buy`, async () => {
      const id = await createSale(world, { lapseLimit: limit })
      const buyer = nextBuyer()
      for (let orders = 0; orders <= limit; orders++) await lapse(id, await order(api, id, buyer))
      expectRefusal(await buy(api, id, buyer), 409, 'LAPSE_LIMIT')
      expect((await buy(api, id, nextBuyer())).status).to.equal(202)
    })

  it('per_user_limit 3: three units at once and no fourth', async () => {
    const id = await createSale(world, { perUserLimit: 3, stock: 5 })
    const buyer = nextBuyer()
    const greedy = await buy(api, id, buyer, { quantity: 4 })
    expectRefusal(greedy, 400, 'VALIDATION_FAILED')
    expect(JSON.stringify(greedy.body.data)).to.include('quantity')
    await order(api, id, buyer, { quantity: 3 })
    expectRefusal(await buy(api, id, buyer, { quantity: 1 }), 409, 'ALREADY_PURCHASED')
    expect(await expectConserved(world.knex, id)).to.equal(2)
  })

  it('payment_window_s that is changed while the sale runs is that of later orders only', async () => {
    const id = await createSale(world, { paymentWindowS: 300 })
    const windowOf = async (orderId: string): Promise<number> => {
      const row = await world.knex('orders').where({ id: orderId }).first('created_at', 'expires_at')
      return (row.expires_at.getTime() - row.created_at.getTime()) / 1_000
    }
    const early = await order(api, id, nextBuyer())
    const patched = await api('PATCH', `/spike-events/${id}`, {
      token: admin.token,
      json: { payment_window_s: 900 },
      headers: { 'if-match': '*' },
    })
    expect(patched.status, patched.text).to.equal(200)
    const late = await order(api, id, nextBuyer())
    expect([await windowOf(early.orderId), await windowOf(late.orderId)]).to.deep.equal([300, 900])
  })

  it('tells held units from sold ones, and sells a unit again that came back', async () => {
    const id = await createSale(world, { stock: 1 })
    const first = await order(api, id, nextBuyer())
    expectRefusal(await buy(api, id, nextBuyer()), 409, 'ALL_HELD')
    await lapse(id, first)
    const payer = nextBuyer()
    const second = await order(api, id, payer)
    expectRefusal(await buy(api, id, nextBuyer()), 409, 'ALL_HELD')
    await pay(api, second.orderId, payer)
    await until('the sale to be sold out', async () => {
      const reply = await buy(api, id, nextBuyer())
      return reply.body.error === 'SOLD_OUT'
    })
  })

  it('sells on when a sale that was sold out is given more units', async () => {
    const id = await createSale(world, { stock: 1 })
    const payer = nextBuyer()
    await pay(api, (await order(api, id, payer)).orderId, payer)
    const waiting = nextBuyer()
    await until('the sale to be sold out', async () => {
      const reply = await buy(api, id, waiting)
      return reply.body.error === 'SOLD_OUT'
    })
    await adjust(id, 1)
    await order(api, id, waiting)
    expect(await expectConserved(world.knex, id)).to.equal(0)
  })

  it('voids a reservation in flight whose unit was cut, and nothing is lost', async () => {
    const id = await createSale(world, { stock: 2 })
    const [early, late] = [nextBuyer(), nextBuyer()]
    await order(api, id, early)
    // Taken from Redis and not published yet, as in the moment between the two.
    const rid = newRid(id)
    const claim = { eventId: id, rid, userId: late.user_id, quantity: 1, requestId: 'in-flight' }
    expect((await world.scripts.reserve(claim)).kind).to.equal('accepted')
    await adjust(id, -1)
    const verdict = await verdictOn(api, rid, late)
    expect(verdict).to.include({ status: 'void', reason: 'sold_out' })
    await atRest(world, id)
    await until('the unit to be back', async () => {
      const counts = await world.scripts.countUnits({ eventId: id })
      return counts !== 'NOT_READY' && counts.held === 0 && counts.stock === 0
    })
    expect(await world.scripts.countUnits({ eventId: id })).to.include({
      granted: 1,
      confirmed: 1,
      released: 1,
    })
    expect(await expectConserved(world.knex, id)).to.equal(0)
  })
})
