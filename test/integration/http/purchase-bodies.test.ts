import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { order } from '../../support/buying.ts'
import { createClient, expectRefusal, type Ask, type Client } from '../../support/http.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'

const BAD_QUANTITIES = [
  '0',
  '-1',
  '1.5',
  '"1"',
  '""',
  '9007199254740992',
  '101',
  '[1]',
  'null',
  '1e309',
  '-0',
  'true',
  '{}',
  '{"$gt":0}',
]

const BAD_BODIES: Record<string, string> = {
  'text that is no JSON': 'quantity=1',
  'half a JSON text': '{"quantity": 1',
  'a comment': '{"quantity": 1} // one',
  'a JSON text that is no object': '[{"quantity": 1}]',
  'a string': '"quantity"',
  'a number': '1',
  null: 'null',
  'a price of its own': '{"quantity": 1, "spike_price": 1}',
  "somebody else's id": '{"quantity": 1, "user_id": "018f0000-0000-7000-8000-000000000000"}',
  'a rid of its own': '{"quantity": 1, "reservation_id": "018f0000-0000-7000-8000-000000000000"}',
  'a clock of its own': '{"quantity": 1, "now": 0}',
  'a polluted prototype': '{"quantity": 1, "__proto__": {"quantity": 5, "role": "admin"}}',
  'a polluted constructor': '{"quantity": 1, "constructor": {"prototype": {"role": "admin"}}}',
  'a prototype in place of a quantity': '{"__proto__": {"quantity": 1}}',
  'arrays 4000 deep': `{"quantity": ${'['.repeat(4_000)}${']'.repeat(4_000)}}`,
  'objects 2000 deep': `{"quantity": ${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}}`,
  'brackets that never close': '['.repeat(8_000),
  'a key with a NUL': '{"quantity": 1, "\\u0000": 1}',
}

describe('a purchase with a body that is not right', () => {
  let world: World
  let api: Client
  let eventId: string
  let buyer: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    const [first, second] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
    buyer = first
    eventId = await createSale(world, { stock: 50, perUserLimit: 2 })
    await order(api, eventId, second) // so that every key of the event exists
    await atRest(world, eventId)
  })
  after(() => world.close())

  /** Sends what is bad and sees that nothing has changed, in Redis or in PostgreSQL. */
  async function refused(ask: Ask, status: number, error: string): Promise<void> {
    const before = await stateOf(world, eventId)
    expect(Object.keys(before.redis)).to.include(`{spike:${eventId}}:states`)
    const reply = await api('POST', `/spike-events/${eventId}/orders`, { token: buyer.access_token, ...ask })
    expectRefusal(reply, status, error)
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  }

  for (const quantity of BAD_QUANTITIES)
    it(`is refused with the quantity ${quantity} and changes nothing`, () =>
      refused({ raw: `{"quantity": ${quantity}}` }, 400, 'VALIDATION_FAILED'))

  it('is refused above the limit of the event and changes nothing', () =>
    refused({ json: { quantity: 3 } }, 400, 'VALIDATION_FAILED'))

  for (const [what, raw] of Object.entries(BAD_BODIES))
    it(`is refused with ${what} and changes nothing`, () => refused({ raw }, 400, 'VALIDATION_FAILED'))

  it('names the field that is wrong and does not repeat its value', async () => {
    const reply = await api<{ fields: { field: string; problem: string }[] }>(
      'POST',
      `/spike-events/${eventId}/orders`,
      { token: buyer.access_token, json: { quantity: 'sesame-4711' } },
    )
    expect(reply.body.data.fields.map((f) => f.field)).to.deep.equal(['quantity'])
    expect(reply.text).to.not.include('sesame-4711')
  })

  it('is refused when the body is 10 MB long, announced or not', async () => {
    const raw = `{"quantity": 1, "x": "${'x'.repeat(10_000_000)}"}`
    await refused({ raw }, 413, 'PAYLOAD_TOO_LARGE')
    await refused({ raw: new Blob([raw]).stream() as ReadableStream }, 413, 'PAYLOAD_TOO_LARGE')
  })

  it('is refused when a small body unpacks to a huge one, within little memory', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000, 0x20), { level: 9 })
    const small = gzipSync(Buffer.alloc(5_000_000, 0x20), { level: 9 })
    const before = process.memoryUsage().rss
    for (const raw of [bomb, small])
      await refused(
        { raw: new Uint8Array(raw), headers: { 'content-encoding': 'gzip' } },
        413,
        'PAYLOAD_TOO_LARGE',
      )
    expect(process.memoryUsage().rss - before).to.be.below(40_000_000)
  })

  it('is refused when it is packed in a way that is not known or not true', async () => {
    const raw = '{"quantity": 1}'
    await refused({ raw, headers: { 'content-encoding': 'zip' } }, 415, 'UNSUPPORTED_MEDIA_TYPE')
    await refused({ raw, headers: { 'content-encoding': 'gzip' } }, 400, 'VALIDATION_FAILED')
  })

  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/json; charset=utf-7',
    'application/json; charset=utf-16',
    'text/json',
    'nonsense',
  ])
    it(`is refused with the content type ${type} and changes nothing`, () =>
      refused({ raw: '{"quantity": 1}', headers: { 'content-type': type } }, 415, 'UNSUPPORTED_MEDIA_TYPE'))

  it('left the sale able to sell', async () => {
    const { orderId } = await order(api, eventId, buyer, { quantity: 2 })
    expect(orderId).to.be.a('string')
  })
})
