import { expect } from 'chai'
import { describe, it } from 'mocha'
import { readTraceparent, spanContextOf, traceIdOf } from '../../src/platform/telemetry/traceparent.ts'

const ID = '0af7651916cd43dd8448eb211c80319c'
const SAMPLED = `00-${ID}-b7ad6b7169203331-01`
const UNSAMPLED = `00-${ID}-b7ad6b7169203331-00`

describe('a traceparent', () => {
  it('names its trace', () => {
    expect(traceIdOf(SAMPLED)).to.equal(ID)
    expect(spanContextOf(UNSAMPLED)).to.deep.equal({ traceId: ID, spanId: 'b7ad6b7169203331', traceFlags: 0 })
  })

  it('is worth keeping when its trace is recorded', () => {
    expect(readTraceparent(SAMPLED)).to.equal(SAMPLED)
    expect(readTraceparent(UNSAMPLED)).to.equal(undefined)
  })

  for (const [what, value] of Object.entries({
    nothing: undefined,
    null: null,
    'a number': 42,
    'an object': { traceparent: SAMPLED },
    'an empty text': '',
    'one with more behind it': `${SAMPLED}-more`,
    'one with a space before it': ` ${SAMPLED}`,
    'one in capitals': SAMPLED.toUpperCase(),
    'one without a trace': `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    'one without a span': `00-${ID}-${'0'.repeat(16)}-01`,
    'one of a forbidden version': SAMPLED.replace('00-', 'ff-'),
    'as many other letters': 'x'.repeat(SAMPLED.length),
  }))
    it(`is not: ${what}`, () => {
      expect(spanContextOf(value)).to.equal(undefined)
      expect(readTraceparent(value)).to.equal(undefined)
    })
})
