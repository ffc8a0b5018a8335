import { expect } from 'chai'
import * as fc from 'fast-check'
import { describe, it } from 'mocha'
import { problemOf } from '../../src/http/json-shape.ts'

const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)

describe('the shape of a JSON text', () => {
  it('may be 32 levels deep and no more', () => {
    expect(problemOf(nested(32))).to.equal(undefined)
    expect(problemOf(nested(33))).to.equal('is nested more than 32 levels deep')
    expect(problemOf('{"a":'.repeat(33) + '1' + '}'.repeat(33))).to.match(/deep/)
    expect(problemOf(nested(8_000))).to.match(/deep/)
  })

  for (const text of [
    '{"a":1,"a":2}',
    '{"a":1, "b":{"c":[{"d":1,"e":2,"d":3}]}}',
    String.raw`{"a":1,"\u0061":2}`,
    String.raw`{"say \"a\"":1,"say \"a\"" :2}`,
    '{"":1,"":2}',
    '{"__proto__":1,"__proto__":2}',
  ])
    it(`names no field twice: ${text}`, () => expect(problemOf(text)).to.equal('names a field twice'))

  for (const text of [
    '',
    '{}',
    '{"a":1,"A":2}',
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":1}]',
    '{"a":"a","b":"a"}',
    '{"a":["a","a"]}',
    String.raw`{"a":"\"b\":1,\"b\":2","b":"}{]["}`,
  ])
    it(`may be ${text}`, () => expect(problemOf(text)).to.equal(undefined))

  it('is right for whatever JavaScript writes', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 20 }),
        (text) => problemOf(JSON.stringify(JSON.parse(text))) === undefined,
      ),
    )
  })
})
