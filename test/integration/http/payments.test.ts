import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { order, pay, readOrder } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('paying an order over HTTP', () => {
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

  const start = (orderId: string, json: object = {}, who = buyer) =>
    api<{ payment_id: string; status: string }>('POST', `/orders/${orderId}/payments`, {
      token: who.access_token,
      json,
    })
  const paymentsOf = (orderId: string): Promise<{ status: string }[]> =>
    world.knex('payments').where({ order_id: orderId }).orderBy('created_at').select('status')

  it('is answered with 202, and the provider makes the order paid', async () => {
    const { orderId } = await order(api, await createSale(world), buyer)
    const reply = await start(orderId)
    expect(reply.status, reply.text).to.equal(202)
    expect(reply.body.data.status).to.equal('pending')
    expect(reply.headers.get('location')).to.equal(`/api/v1/orders/${orderId}`)
    await until('the order to be paid', async () => (await readOrder(api, orderId, buyer)).status === 'paid')
    expect(
      await world.knex('payments').where({ order_id: orderId }).select('id', 'amount', 'currency', 'status'),
    ).to.deep.equal([{ id: reply.body.data.payment_id, amount: 500, currency: 'CNY', status: 'captured' }])
    expect(await world.knex('refunds').where({ order_id: orderId })).to.deep.equal([])
  })

  it('may fail and be tried again', async () => {
    const { orderId } = await order(api, await createSale(world), buyer)
    await start(orderId, { outcome: 'failure' })
    await until('the payment to fail', async () => (await paymentsOf(orderId))[0]?.status === 'failed')
    expect((await readOrder(api, orderId, buyer)).status).to.equal('pending')
    const paid = await pay(api, orderId, buyer)
    expect(paid.status).to.equal('paid')
    expect(await paymentsOf(orderId)).to.deep.equal([{ status: 'failed' }, { status: 'captured' }])
  })

  it('is one payment when the button is clicked ten times at once', async () => {
    const { orderId } = await order(api, await createSale(world), buyer)
    const replies = await Promise.all(Array.from({ length: 10 }, () => start(orderId)))
    for (const reply of replies) expect([202, 409], reply.text).to.include(reply.status)
    const ids = replies.filter((reply) => reply.status === 202).map((reply) => reply.body.data.payment_id)
    expect(new Set(ids).size).to.equal(1)
    await until('the order to be paid', async () => (await readOrder(api, orderId, buyer)).status === 'paid')
    expect(await paymentsOf(orderId)).to.deep.equal([{ status: 'captured' }])
    expect(await world.knex('refunds').where({ order_id: orderId })).to.deep.equal([])
  })

  it('is refused with 409 when the order is paid already, and opens no payment', async () => {
    const { orderId } = await order(api, await createSale(world), buyer)
    await pay(api, orderId, buyer)
    const reply = await start(orderId)
    expectRefusal(reply, 409, 'ORDER_NOT_PENDING')
    expect(reply.body.data).to.deep.equal({ status: 'paid' })
    expect(await paymentsOf(orderId)).to.have.length(1)
  })

  it('is refused with 409 when the order has lapsed, and the unit stays given back', async () => {
    const eventId = await createSale(world, { paymentWindowS: 1 })
    const { orderId } = await order(api, eventId, buyer)
    await until('the order to lapse', async () => (await readOrder(api, orderId, buyer)).status === 'closed')
    const reply = await start(orderId)
    expectRefusal(reply, 409, 'ORDER_NOT_PENDING')
    expect(reply.body.data).to.deep.equal({ status: 'closed' })
    expect(await paymentsOf(orderId)).to.deep.equal([])
    await until(
      'the unit to be back',
      async () => (await world.redis.get(`{spike:${eventId}}:stock`)) === '10',
    )
  })

  it('of an order of somebody else, or of nobody, is not found and changes nothing', async () => {
    const { orderId } = await order(api, await createSale(world), buyer)
    await atRest(world)
    const before = await stateOf(world)
    expectRefusal(await start(orderId, {}, other), 404, 'NOT_FOUND')
    expectRefusal(await start(randomUUID()), 404, 'NOT_FOUND')
    expectRefusal(await api('POST', `/orders/${orderId}/payments`), 401, 'UNAUTHENTICATED')
    expect(await stateOf(world)).to.deep.equal(before)
  })

  it('takes no amount, currency or status from the buyer', async () => {
    const { orderId } = await order(api, await createSale(world), buyer)
    await atRest(world)
    const before = await stateOf(world)
    for (const json of [
      { amount: 1 },
      { currency: 'XXX' },
      { status: 'paid' },
      { outcome: 'free' },
      { outcome: null },
      { outcome: ['success'] },
      [],
    ])
      expectRefusal(await start(orderId, json), 400, 'VALIDATION_FAILED')
    expect(await stateOf(world)).to.deep.equal(before)
  })

  it('of many orders of a sale pays each once, and PostgreSQL and Redis agree on it', async () => {
    const buyers = await createBuyers(world, 10)
    const eventId = await createSale(world, { stock: 10 })
    const orders = await Promise.all(buyers.map((who) => order(api, eventId, who)))
    await Promise.all(orders.map(({ orderId }, i) => pay(api, orderId, buyers[i] as LoadBuyer)))
    await until(
      'redis to hear of all',
      async () => (await world.redis.hget(`{spike:${eventId}}:gate`, 'paid')) === '10',
    )
    expect(await world.scripts.countUnits({ eventId })).to.include({ stock: 0, paid: 10, confirmed: 0 })
    expect(await world.knex('orders').where({ event_id: eventId, status: 'paid' }).count()).to.deep.equal([
      { count: 10 },
    ])
  })
})
