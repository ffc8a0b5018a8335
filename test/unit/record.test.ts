import { expect } from 'chai'
import { describe, it } from 'mocha'
import { RELEASE_REASONS } from '../../src/contracts/values.ts'
import { decodeRecord, UNIT_STATES } from '../../src/reserve/record.ts'

describe('decodeRecord', () => {
  it('reads all fields of a full record', () => {
    expect(decodeRecord('released|2|user-1|1700000000000|1-0|order-1|1700000300000|lapsed')).to.deep.equal({
      state: 'released',
      quantity: 2,
      userId: 'user-1',
      reservedAtMs: 1_700_000_000_000,
      orderId: 'order-1',
      expiresAtMs: 1_700_000_300_000,
      reason: 'lapsed',
    })
  })

  for (const state of UNIT_STATES)
    it(`reads a ${state} record without the fields that do not apply`, () => {
      expect(decodeRecord(`${state}|1|user-1|5||||`)).to.deep.equal({
        state,
        quantity: 1,
        userId: 'user-1',
        reservedAtMs: 5,
        orderId: undefined,
        expiresAtMs: undefined,
        reason: undefined,
      })
    })

  for (const reason of RELEASE_REASONS)
    it(`knows the reason ${reason}`, () => {
      expect(decodeRecord(`released|1|u|5||||${reason}`).reason).to.equal(reason)
    })

  for (const text of [
    '',
    'held',
    'held|1|u|5|||||',
    'lost|1|u|5||||',
    'held|one|u|5||||',
    'held|1.5|u|5||||',
    'held|1|u|then||||',
    'released|1|u|5||||because',
    'confirmed|1|u|5|||soon|',
  ])
    it(`refuses ${JSON.stringify(text)}, which no script writes`, () => {
      expect(() => decodeRecord(text)).to.throw()
    })
})
