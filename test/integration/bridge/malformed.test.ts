import { randomUUID } from 'node:crypto'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { orderCreated } from '../../../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../../src/contracts/messages/stock-released.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { contentOf, deadLetters, openSender, type Sender } from '../../support/raw-messages.ts'
import { order } from '../../support/buying.ts'
import { logIn } from '../../support/dashboard.ts'
import { createClient, type Client } from '../../support/http.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

const good = () => ({
  v: 1,
  rid: randomUUID(),
  event_id: randomUUID(),
  user_id: randomUUID(),
  quantity: 1,
  epoch: 1,
  reserved_at_ms: Date.now(),
  request_id: 'test',
})
const without = (key: string): object => Object.fromEntries(Object.entries(good()).filter(([k]) => k !== key))

/** What can be wrong with a message of any kind, and what its reason has to tell. */
const ANY: Record<string, [Buffer | string | object, RegExp]> = {
  'an empty one': ['', /not JSON/],
  'one that is no JSON': ['{"v":1,', /not JSON/],
  'bytes that are no text': [Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc3]), /not JSON/],
  'a JSON null': ['null', /version/],
  'a JSON array': ['[{"v":1}]', /version/],
  'a JSON text': ['"reservation"', /version/],
  'one without version': [without('v'), /version/],
  'one of a version to come': [{ ...good(), v: 2 }, /version/],
  'one whose version is text': [{ ...good(), v: '1' }, /version/],
  'one with nothing but a version': [{ v: 1 }, /rid|order_id/],
  'arrays 50000 deep': ['['.repeat(50_000) + ']'.repeat(50_000), /version/],
  'a megabyte': [`{"v":1,"x":"${'x'.repeat(1_000_000)}"}`, /rid|order_id/],
}

const RESERVATIONS: Record<string, [object, RegExp]> = {
  ...Object.fromEntries(
    ['rid', 'event_id', 'user_id', 'quantity', 'epoch', 'reserved_at_ms', 'request_id'].map((key) => [
      `one without ${key}`,
      [without(key), new RegExp(key)] as [object, RegExp],
    ]),
  ),
  'a rid that is none': [{ ...good(), rid: '1' }, /rid/],
  'a rid that would be another key': [{ ...good(), rid: `${randomUUID()}:x` }, /rid/],
  'a rid of the wrong type': [{ ...good(), rid: { $ne: 1 } }, /rid/],
  'a quantity of nothing': [{ ...good(), quantity: 0 }, /quantity/],
  'a quantity below nothing': [{ ...good(), quantity: -5 }, /quantity/],
  'a quantity as text': [{ ...good(), quantity: '1' }, /quantity/],
  'half a quantity': [{ ...good(), quantity: 0.5 }, /quantity/],
  'a huge quantity': [{ ...good(), quantity: 101 }, /quantity/],
  'a request id without end': [{ ...good(), request_id: 'x'.repeat(5_000) }, /request_id/],
}

const ORDERS: Record<string, [object, RegExp]> = {
  'an order id that is none': [{ v: 1, order_id: '7', expires_at_ms: 1 }, /order_id/],
  'no deadline': [{ v: 1, order_id: randomUUID() }, /expires_at_ms/],
  'a deadline before all time': [{ v: 1, order_id: randomUUID(), expires_at_ms: -1 }, /expires_at_ms/],
  'a deadline as text': [{ v: 1, order_id: randomUUID(), expires_at_ms: '1' }, /expires_at_ms/],
}

const RELEASES: Record<string, [object, RegExp]> = {
  'no reason': [good(), /reason/],
  'a reason that is none': [{ ...good(), reason: 'because' }, /reason/],
  'no rid': [{ ...without('rid'), reason: 'lapsed' }, /rid/],
  'a quantity of nothing': [{ ...good(), reason: 'lapsed', quantity: 0 }, /quantity/],
}

describe('a message that can not be handled', () => {
  let world: World
  let broker: Sender
  let dead: Queue
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    await world.start('dashboard')
    broker = await openSender(world)
    dead = openQueue('dead-letter', world.config.namespace, world.queueRedis)
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(async () => {
    await broker.close()
    await dead.close()
    await world.close()
  })

  const kinds = [
    { message: reservationAccepted, cases: { ...ANY, ...RESERVATIONS } },
    { message: orderCreated, cases: { ...ANY, ...ORDERS } },
    { message: stockReleased, cases: { ...ANY, ...RELEASES } },
  ]
  for (const { message, cases } of kinds)
    for (const [what, [body, reason]] of Object.entries(cases))
      it(`in ${message.key}: ${what} ends as a dead letter and holds nothing up`, async () => {
        const queue = world.topology.queueOf(message)
        await dead.drain()
        const before = await stateOf(world)
        await broker.sendSigned(message, body, { messageId: 'somebody-elses' })
        const [letter, ...more] = await deadLetters(dead, 1, 5_000)
        expect(more).to.deep.equal([])
        expect(letter?.origin).to.equal(queue)
        expect(letter?.reason).to.match(reason)
        expect(letter?.attempts).to.equal(1)
        expect(letter?.payload).to.equal(contentOf(body).toString('utf8').slice(0, 16_384))
        expect(Date.now() - Date.parse(letter?.dead_at ?? '')).to.be.within(0, 20_000)
        expect(await stateOf(world)).to.deep.equal(before)
        expect(await broker.depth(queue)).to.equal(0)
      })

  it('does not keep the good ones behind it from becoming orders, or from being closed and released', async () => {
    await dead.drain()
    for (const { message } of kinds) for (let i = 0; i < 30; i++) await broker.sendSigned(message, `bad ${i}`)
    const [buyer] = await createBuyers(world, 1)
    if (buyer === undefined) throw new Error('no buyer')
    const eventId = await createSale(world, { paymentWindowS: 1 })
    const { rid } = await order(api, eventId, buyer)
    await atRest(world, eventId)
    expect(await deadLetters(dead, 90)).to.have.length(90)
    expect(await world.knex('reservations').where({ rid }).first('status')).to.deep.equal({
      status: 'ordered',
    })
  })

  it('is shown on the dashboard with its reason, origin, tries and payload', async () => {
    await dead.drain()
    const payload = `{"v":1,"note":"look-${randomUUID()}"}`
    await broker.sendSigned(stockReleased, payload)
    await deadLetters(dead, 1)
    const dashboard = createClient(world.dashboardUrl)
    const headers = await logIn(dashboard, await createAccount(world, 'operator'))
    const reply = await dashboard('GET', '/queues/api/queues?activeQueue=dead-letter', { headers })
    const { queues } = reply.body as unknown as { queues: { name: string; jobs: { data: object }[] }[] }
    const shown = queues.find(({ name }) => name === 'dead-letter')?.jobs.map(({ data }) => data)
    expect(shown).to.have.length(1)
    expect(shown?.[0]).to.deep.include({
      origin: world.topology.queueOf(stockReleased),
      attempts: 1,
      payload,
    })
    expect(JSON.stringify(shown)).to.match(/"reason":"[^"]*rid/)
  })
})
