import { expect } from 'chai'
import { describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import {
  decodeMessage,
  defineMessage,
  encodeMessage,
  type MessageDefinition,
} from '../../src/contracts/messages/message.ts'
import { orderCreated } from '../../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { MessageSigner, SIGNATURE_HEADER } from '../../src/contracts/messages/signature.ts'
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
      const decoded = decodeMessage(definition, encodeMessage(definition, payload))
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
    { v: 0, ...RESERVATION },
    { v: 1.5, ...RESERVATION },
    { v: '1', ...RESERVATION },
  ])
    it(`refuse what has no version: ${JSON.stringify(json).slice(0, 24)}`, () => {
      expect(decode(json)).to.deep.equal({ ok: false, reason: 'no version' })
    })

  it('say of a newer version that it is newer', () => {
    expect(sent({ v: 2 })).to.deep.equal({
      ok: false,
      reason: 'version 2 is newer than this process, which reads version 1',
    })
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
    const body = encodeMessage(stockReleased, { ...ids, quantity: 1, reason: 'because' })
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

/** A kind of message as it was, as it is, and as it will be. */
const key = 'test.greeting'
const id = ({ name }: { name: string }) => name
const first = defineMessage({ key, version: 1, schema: z.object({ name: z.string() }), id })
const second = defineMessage({
  key,
  version: 2,
  schema: z.object({ name: z.string(), tongue: z.string() }),
  previous: first.schema.transform(({ name }) => ({ name, tongue: 'en' })),
  id,
})
const third = defineMessage({ ...second, version: 3, previous: second.schema })

describe('messages of another version', () => {
  it('of the one before are read, and say what this version says', () => {
    expect(decodeMessage(second, encodeMessage(first, { name: 'a' }))).to.deep.equal({
      ok: true,
      payload: { name: 'a', tongue: 'en' },
    })
  })

  it('of the one before are checked by the schema of then', () => {
    expect(decodeMessage(second, encodeMessage(first, { tongue: 'en' })))
      .to.have.property('reason')
      .that.matches(/^name: /)
  })

  it('of this one are not read as the one before', () => {
    expect(decodeMessage(second, encodeMessage(second, { name: 'a' })))
      .to.have.property('reason')
      .that.matches(/^tongue: /)
  })

  it('that is newer are refused, with a reason that says so', () => {
    expect(decodeMessage(first, encodeMessage(second, { name: 'a', tongue: 'fr' }))).to.deep.equal({
      ok: false,
      reason: 'version 2 is newer than this process, which reads version 1',
    })
  })

  it('two back are too old', () => {
    expect(decodeMessage(third, encodeMessage(first, { name: 'a' }))).to.deep.equal({
      ok: false,
      reason: 'version 1 is too old for this process, which reads version 3',
    })
  })
})

describe('the signature of a message', () => {
  const signer = new MessageSigner('a secret of the shop')
  const body = encodeMessage(first, { name: 'a' })
  const signature = signer.headersOf({ routingKey: key, body })[SIGNATURE_HEADER] ?? ''
  const notOurs = { ok: false, reason: 'not signed by this shop' }

  it('lets what we wrote be read', () => {
    expect(signer.read(first, body, signature)).to.deep.equal({ ok: true, payload: { name: 'a' } })
  })

  for (const [what, wrong] of Object.entries<unknown>({
    'that is missing': undefined,
    'that is empty': '',
    'that is no text': [signature],
    'that is cut': signature.slice(0, -1),
    'with something behind it': `${signature}AAAA`,
    'of another secret': new MessageSigner('another secret').headersOf({ routingKey: key, body })[
      SIGNATURE_HEADER
    ],
    'of another kind': signer.headersOf({ routingKey: 'test.farewell', body })[SIGNATURE_HEADER],
    'of another body': signer.headersOf({ routingKey: key, body: Buffer.from('{}') })[SIGNATURE_HEADER],
  }))
    it(`does not let it be read with one ${what}`, () => {
      expect(signer.read(first, body, wrong)).to.deep.equal(notOurs)
    })

  it('does not let a changed body be read', () => {
    expect(signer.read(first, encodeMessage(first, { name: 'b' }), signature)).to.deep.equal(notOurs)
  })

  it('does not take the end of a key for the beginning of a body', () => {
    const moved = signer.headersOf({ routingKey: 'test', body: Buffer.from('.greeting\n{}') })[
      SIGNATURE_HEADER
    ]
    expect(signer.read(first, Buffer.from('{}'), moved)).to.deep.equal(notOurs)
  })
})

describe('the messages of this release', () => {
  for (const message of MESSAGES)
    it(`${message.key} can read the version before, when there is one`, () => {
      expect(message.version === 1 || message.previous !== undefined).to.equal(true)
    })
})
