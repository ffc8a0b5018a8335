import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { newRid } from '../../support/rids.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy, order } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { openSender, type Sender } from '../../support/raw-messages.ts'
import { accepted } from '../../support/reservations.ts'
import { expectNoSubscriber, openStream, subscribers } from '../../support/streams.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the stream of a reservation', () => {
  let world: World
  let api: Client
  let sender: Sender
  let buyer: LoadBuyer
  let other: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    sender = await openSender(world)
    api = createClient(`${world.apiUrl}/api/v1`)
    ;[buyer, other] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
  })
  after(async () => {
    await sender.close()
    await world.close()
  })

  /** A unit that is held for the buyer, and of which the broker knows nothing. */
  async function held(eventId: string, userId = buyer.user_id): Promise<string> {
    const rid = newRid(eventId)
    const reply = await world.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: 'test' })
    expect(reply.kind).to.equal('accepted')
    return rid
  }

  /** Sends the message of a held unit, so that the workers decide on it. */
  function tellBroker(eventId: string, rid: string, userId = buyer.user_id): Promise<void> {
    return sender.sendGenuine(reservationAccepted, accepted(eventId, userId, { rid }))
  }

  const read = (rid: string, token = buyer.access_token, headers: Record<string, string> = {}) =>
    api('GET', `/reservations/${rid}/stream`, { token, headers })

  it('tells the present state, then each step, and ends with the order', async () => {
    const eventId = await createSale(world)
    const rid = await held(eventId)
    const stream = await openStream(world, rid, buyer)
    await stream.received(1)
    await world.scripts.markQueued([{ eventId, rids: [rid] }])
    await stream.received(2)
    await tellBroker(eventId, rid)
    await stream.ended

    const events = stream.events()
    expect(events.map(({ event, id, data }) => [event, id, data.status])).to.deep.equal([
      ['reservation', 'reserving', 'reserving'],
      ['reservation', 'queued', 'queued'],
      ['reservation', 'ordered', 'ordered'],
    ])
    const { body } = await api('GET', `/reservations/${rid}`, { token: buyer.access_token })
    expect(events.at(-1)?.data).to.deep.equal(body.data)
    expect(stream.text()).to.match(/^retry: ?2000\n\n/)
    await expectNoSubscriber(world, eventId)
  })

  it('comes with headers that keep proxies from holding it back', async () => {
    const eventId = await createSale(world)
    const { rid } = await order(api, eventId, buyer)
    const { headers } = await openStream(world, rid, buyer)
    expect(headers.get('content-type')).to.equal('text/event-stream; charset=utf-8')
    expect(headers.get('cache-control')).to.equal('no-store, no-transform')
    expect(headers.get('x-accel-buffering')).to.equal('no')
    expect(headers.get('x-request-id')).to.be.a('string').that.is.not.empty
  })

  it('follows a purchase over HTTP up to its order', async () => {
    const eventId = await createSale(world)
    const reply = await buy(api, eventId, buyer)
    const stream = await openStream(world, reply.body.data.reservation_id, buyer)
    await stream.ended
    const statuses = stream.events().map(({ data }) => data.status)
    expect(statuses.at(-1)).to.equal('ordered')
    expect(statuses).to.deep.equal(['reserving', 'queued', 'ordered'].slice(-statuses.length))
  })

  it('tells why there will be no order', async () => {
    const eventId = await createSale(world)
    const rid = await held(eventId)
    const stream = await openStream(world, rid, buyer)
    await world.knex('spike_events').where({ id: eventId }).update({ available: 0 })
    await tellBroker(eventId, rid)
    await stream.ended
    expect(stream.events().at(-1)).to.deep.equal({
      event: 'reservation',
      id: 'void',
      data: { reservation_id: rid, status: 'void', reason: 'sold_out' },
    })
    await expectNoSubscriber(world, eventId)
  })

  it('is one event long when the verdict is there, from PostgreSQL too', async () => {
    const eventId = await createSale(world)
    const { rid, orderId } = await order(api, eventId, buyer)
    const first = await read(rid)
    await world.redis.unlink(`{spike:${eventId}}:states`)
    for (const { status, text } of [first, await read(rid)]) {
      expect(status).to.equal(200)
      expect(text.match(/^data:/gm)).to.have.length(1)
      expect(text).to.include(orderId)
    }
    expect(await subscribers(world, eventId)).to.equal(0)
  })

  it('is not begun again for a client that was told the verdict', async () => {
    const eventId = await createSale(world)
    const { rid } = await order(api, eventId, buyer)
    const again = await read(rid, buyer.access_token, { 'last-event-id': 'ordered' })
    expect([again.status, again.text]).to.deep.equal([204, ''])
    const { status, text } = await read(rid, buyer.access_token, { 'last-event-id': 'void' })
    expect(status).to.equal(200)
    expect(text).to.include('"status":"ordered"')
    expectRefusal(await read(rid, other.access_token, { 'last-event-id': 'ordered' }), 404, 'NOT_FOUND')
  })

  it('is there for its buyer only, and refused before it begins', async () => {
    const eventId = await createSale(world)
    const rid = await held(eventId)
    const unknown = `${randomUUID().slice(0, -8)}${rid.slice(-8)}`
    const stranger = await read(rid, other.access_token)
    expectRefusal(stranger, 404, 'NOT_FOUND')
    expect(stranger.headers.get('content-type')).to.include('application/json')
    for (const id of [unknown, randomUUID()]) expectRefusal(await read(id), 404, 'NOT_FOUND')
    expectRefusal(await read('1'), 400, 'VALIDATION_FAILED')
    expectRefusal(await api('GET', `/reservations/${rid}/stream`), 401, 'UNAUTHENTICATED')
    expect(await subscribers(world, eventId)).to.equal(0)
  })

  it('takes a HEAD request for what it is', async () => {
    const eventId = await createSale(world)
    const rid = await held(eventId)
    const { status, text } = await api('HEAD', `/reservations/${rid}/stream`, { token: buyer.access_token })
    expect([status, text]).to.deep.equal([200, ''])
    await expectNoSubscriber(world, eventId)
  })

  it('gives everything back when its client hangs up', async () => {
    const eventId = await createSale(world)
    const rid = await held(eventId)
    const streams = await Promise.all([openStream(world, rid, buyer), openStream(world, rid, buyer)])
    expect(await subscribers(world, eventId)).to.equal(1)
    streams[0].leave()
    await world.scripts.markQueued([{ eventId, rids: [rid] }])
    await streams[1].received(2)
    streams[1].leave()
    await expectNoSubscriber(world, eventId)
  })

  it('may be open ten times for one buyer, and again when others have ended', async () => {
    const eventId = await createSale(world)
    const [rid, theirs] = [await held(eventId), await held(eventId, other.user_id)]
    const streams = await Promise.all(Array.from({ length: 10 }, () => openStream(world, rid, buyer)))
    const refused = await read(rid)
    expectRefusal(refused, 429, 'RATE_LIMITED')
    expect(Number(refused.headers.get('retry-after'))).to.be.at.least(1)
    const stream = await openStream(world, theirs, other)
    for (const open of [stream, ...streams]) open.leave()
    await expectNoSubscriber(world, eventId)
    const again = await Promise.all(Array.from({ length: 10 }, () => openStream(world, rid, buyer)))
    for (const open of again) open.leave()
  })

  it('takes one subscription for all streams of an event', async () => {
    const eventId = await createSale(world, { stock: 200 })
    const buyers = await createBuyers(world, 200)
    const rids = await Promise.all(buyers.map(({ user_id: userId }) => held(eventId, userId)))
    const streams = await Promise.all(buyers.map((one, i) => openStream(world, rids[i] ?? '', one)))
    expect(await subscribers(world, eventId)).to.equal(1)
    await world.scripts.markQueued([{ eventId, rids }])
    await Promise.all(buyers.map(({ user_id: userId }, i) => tellBroker(eventId, rids[i] ?? '', userId)))
    await Promise.all(streams.map((stream) => stream.ended))
    for (const [i, stream] of streams.entries()) {
      const events = stream.events()
      // Where 200 streams take longer to open than the relay waits, it has taken the first steps before.
      const steps = ['reserving', 'queued', 'ordered']
      const seen = events.map(({ data }) => steps.indexOf(data.status))
      expect(seen).to.deep.equal([...new Set(seen)].toSorted())
      expect(seen.at(-1)).to.equal(2)
      expect(new Set(events.map(({ data }) => data.reservation_id))).to.deep.equal(new Set([rids[i]]))
    }
    await expectNoSubscriber(world, eventId)
  })
})

describe('the streams of an API that stops', () => {
  it('end at once, and their clients may come again', async () => {
    const world = await createWorld({ RATE_LIMIT: 'off' })
    try {
      const process = await world.start('api')
      const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
      const eventId = await createSale(world)
      const rid = newRid(eventId)
      await world.scripts.reserve({ eventId, rid, userId: buyer.user_id, quantity: 1, requestId: 'test' })
      const stream = await openStream(world, rid, buyer)
      await stream.received(1)
      const began = Date.now()
      await process.stop()
      await stream.ended
      expect(Date.now() - began, 'ms to stop').to.be.below(2_000)
      expect(stream.events().map(({ data }) => data.status)).to.deep.equal(['reserving'])
      await expectNoSubscriber(world, eventId)
      await world.start('api')
      const again = await openStream(world, rid, buyer)
      await again.received(1)
      again.leave()
    } finally {
      await world.close()
    }
  })
})
