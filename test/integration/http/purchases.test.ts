import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy, order, readOrder, verdictOn, type Accepted } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/

describe('a purchase over HTTP', () => {
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

  it('is answered with 202, where to ask for the verdict, and when', async () => {
    const eventId = await createSale(world)
    const reply = await buy(api, eventId, buyer)
    expect(reply.status, reply.text).to.equal(202)
    expect(reply.body).to.include({ code: 0, message: 'OK' })
    expect(reply.body.data.reservation_id).to.match(UUID)
    expect(reply.body.data.status).to.equal('queued')
    expect(reply.body.data.poll_after_ms).to.be.within(1, 5_000)
    expect(reply.headers.get('location')).to.equal(`/api/v1/reservations/${reply.body.data.reservation_id}`)
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 10)
    expect(reply.body.request_id).to.equal(reply.headers.get('x-request-id')).that.is.not.empty
  })

  it('carries the request id of its caller from the answer to the reservation', async () => {
    const eventId = await createSale(world)
    const requestId = `test-${randomUUID()}`
    const reply = await api<Accepted>('POST', `/spike-events/${eventId}/orders`, {
      token: buyer.access_token,
      headers: { 'x-request-id': requestId },
    })
    expect(reply.headers.get('x-request-id')).to.equal(requestId)
    expect(reply.body.request_id).to.equal(requestId)
    const rid = reply.body.data.reservation_id
    await verdictOn(api, rid, buyer)
    expect(await world.knex('reservations').where({ rid }).first('request_id', 'user_id')).to.deep.equal({
      request_id: requestId,
      user_id: buyer.user_id,
    })
  })

  it('becomes an order that its buyer can read, at the price of the sale', async () => {
    const eventId = await createSale(world, { spikePrice: 450, perUserLimit: 3, paymentWindowS: 60 })
    const began = Date.now()
    const { rid, orderId } = await order(api, eventId, buyer, { quantity: 3 })
    const found = await readOrder(api, orderId, buyer)
    expect(found).to.include({
      id: orderId,
      event_id: eventId,
      reservation_id: rid,
      status: 'pending',
      close_reason: null,
      amount: 1_350,
      currency: 'CNY',
    })
    expect(found.items.map(({ quantity, unit_price }) => ({ quantity, unit_price }))).to.deep.equal([
      { quantity: 3, unit_price: 450 },
    ])
    expect(Date.parse(found.expires_at)).to.be.within(began + 59_000, Date.now() + 61_000)
  })

  it('takes one unit when the body is left out, and shows it in what remains', async () => {
    const eventId = await createSale(world, { stock: 4 })
    const reply = await api<Accepted>('POST', `/spike-events/${eventId}/orders`, {
      token: buyer.access_token,
    })
    expect(reply.status, reply.text).to.equal(202)
    await verdictOn(api, reply.body.data.reservation_id, buyer)
    const event = await api('GET', `/spike-events/${eventId}`)
    expect(event.body.data).to.include({ remaining: 3, stock: 4, state: 'live' })
    expect(await world.knex('spike_events').where({ id: eventId }).first('available')).to.deep.equal({
      available: 3,
    })
  })

  it('tells the verdict to its buyer and to nobody else', async () => {
    const eventId = await createSale(world)
    const { rid, orderId } = await order(api, eventId, buyer)
    const own = await verdictOn(api, rid, buyer)
    expect(own).to.deep.include({ reservation_id: rid, status: 'ordered', order_id: orderId })
    expect(own).to.not.have.any.keys('poll_after_ms', 'reason')
    expectRefusal(await api('GET', `/reservations/${rid}`, { token: other.access_token }), 404, 'NOT_FOUND')
    expectRefusal(await api('GET', `/orders/${orderId}`, { token: other.access_token }), 404, 'NOT_FOUND')
    expectRefusal(await api('GET', `/reservations/${rid}`), 401, 'UNAUTHENTICATED')
    expectRefusal(await api('GET', `/orders/${orderId}`), 401, 'UNAUTHENTICATED')
  })

  it('still tells the verdict after Redis has lost the event', async () => {
    const eventId = await createSale(world)
    const { rid, orderId } = await order(api, eventId, buyer)
    await world.redis.unlink(`{spike:${eventId}}:states`)
    const found = await verdictOn(api, rid, buyer)
    expect(found).to.include({ status: 'ordered', order_id: orderId })
    expectRefusal(await api('GET', `/reservations/${rid}`, { token: other.access_token }), 404, 'NOT_FOUND')
  })

  it('answers for a rid or an order that nobody has like for those of others', async () => {
    const eventId = await createSale(world)
    const { rid } = await order(api, eventId, buyer)
    const unknown = `${randomUUID().slice(0, -8)}${rid.slice(-8)}` // ends like a rid of this event
    for (const path of [
      `/reservations/${randomUUID()}`,
      `/reservations/${unknown}`,
      `/orders/${randomUUID()}`,
    ])
      expectRefusal(await api('GET', path, { token: buyer.access_token }), 404, 'NOT_FOUND')
  })

  it('refuses ids that are no ids before any key or query is built of them', async () => {
    const eventId = await createSale(world)
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    const bad = [
      '1',
      'null',
      `${eventId}:gate`,
      `${eventId}}:x`,
      '*',
      `${eventId}%0a`,
      "' OR 1=1 --",
      '%00',
      '%zz',
    ]
    for (const id of bad) {
      for (const [method, path] of [
        ['GET', `/reservations/${id}`],
        ['GET', `/orders/${id}`],
        ['GET', `/spike-events/${id}`],
        ['POST', `/spike-events/${id}/orders`],
        ['POST', `/orders/${id}/payments`],
      ] as const)
        expectRefusal(await api(method, path, { token: buyer.access_token }), 400, 'VALIDATION_FAILED')
    }
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('is possible once: the second try is told the reservation of the first and takes nothing', async () => {
    const eventId = await createSale(world)
    const { rid } = await order(api, eventId, buyer)
    await atRest(world, eventId)
    const before = await stateOf(world, eventId)
    const again = await buy(api, eventId, buyer)
    expectRefusal(again, 409, 'ALREADY_PURCHASED')
    expect(again.body.data).to.deep.equal({ reservation_id: rid })
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })
})
