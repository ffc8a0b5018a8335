import { expect } from 'chai'
import { describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { decodeMessage, encodeMessage, type MessageDefinition } from '../../src/contracts/messages/message.ts'
import { orderCreated } from '../../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../src/contracts/messages/stock-released.ts'
import { MESSAGES, topologyOf } from '../../src/contracts/messages/topology.ts'

const ids = { rid: uuidv7(), event_id: uuidv7(), user_id: uuidv7() }
const RESERVATION = { ...ids, quantity: 1, epoch: 1, reserved_at_ms: 1_700_000_000_000, request_id: 'r' }
const GOOD: readonly { definition: MessageDefinition<object>; payload: object; about: string }[] = [
  { definition: asAny(reservationAccepted), payload: RESERVATION, about: ids.rid },
  {
    definition: asAny(orderCreated),
    payload: { order_id: ids.event_id, expires_at_ms: 1_700_000_000_000 },
    about: ids.event_id,
  },
  { definition: asAny(stockReleased), payload: { ...ids, quantity: 2, reason: 'lapsed' }, about: ids.rid },
]

function asAny<P extends object>(definition: MessageDefinition<P>): MessageDefinition<object> {
  return definition as unknown as MessageDefinition<object>
}
const decode = (json: unknown) => decodeMessage(reservationAccepted, Buffer.from(JSON.stringify(json)))
/** A reservation as it crosses the broker, with something changed. */
const sent = (change: object) => decode({ v: 1, ...RESERVATION, ...change })

describe('messages', () => {
  for (const { definition, payload, about } of GOOD)
    it(`${definition.key} reads what it wrote, and knows what it is about`, () => {
      const decoded = decodeMessage(definition, encodeMessage(payload))
      expect(decoded).to.deep.equal({ ok: true, payload })
      expect(definition.id(payload)).to.equal(about)
    })

  it('leave out fields that they do not know, so that a newer writer can add some', () => {
    expect(sent({ added_later: 1 })).to.deep.equal({ ok: true, payload: RESERVATION })
  })

  it('read ids in lower case, however they were written', () => {
    const decoded = sent({ rid: ids.rid.toUpperCase() })
    expect(decoded).to.deep.equal({ ok: true, payload: RESERVATION })
  })

  for (const body of ['', 'not json', '{', '\u0000'])
    it(`say that ${JSON.stringify(body)} is not JSON`, () => {
      expect(decodeMessage(reservationAccepted, Buffer.from(body))).to.deep.equal({
        ok: false,
        reason: 'not JSON',
      })
    })

  for (const json of [
    null,
    7,
    'text',
    [],
    {},
    { ...RESERVATION },
    { v: 2, ...RESERVATION },
    { v: '1', ...RESERVATION },
  ])
    it(`refuse a version that they do not know: ${JSON.stringify(json).slice(0, 24)}`, () => {
      expect(decode(json)).to.deep.equal({ ok: false, reason: 'version is not 1' })
    })

  for (const [field, value] of [
    ['rid', 'x'],
    ['rid', undefined],
    ['event_id', 7],
    ['user_id', null],
    ['quantity', 0],
    ['quantity', 101],
    ['quantity', 1.5],
    ['quantity', '1'],
    ['epoch', 0],
    ['reserved_at_ms', -1],
    ['request_id', 'x'.repeat(129)],
  ] as const)
    it(`name the field that is wrong: ${field} = ${String(value).slice(0, 12)}`, () => {
      const decoded = sent({ [field]: value })
      expect(decoded.ok).to.equal(false)
      expect(decoded)
        .to.have.property('reason')
        .that.matches(new RegExp(`^${field}: .+`))
    })

  it('refuse a release for a reason that nobody knows', () => {
    const body = encodeMessage({ ...ids, quantity: 1, reason: 'because' })
    expect(decodeMessage(stockReleased, body))
      .to.have.property('reason')
      .that.matches(/^reason: /)
  })

  it('have a routing key and a queue of their own each', () => {
    const topology = topologyOf('a-stack')
    const names = [...MESSAGES.map(({ key }) => key), ...MESSAGES.map(topology.queueOf), topology.deadQueue]
    expect(new Set(names).size).to.equal(MESSAGES.length * 2 + 1)
    for (const message of MESSAGES) expect(topology.queueOf(message)).to.equal(`a-stack.${message.key}`)
  })
})
