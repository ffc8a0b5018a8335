import { expect } from 'chai'
import { describe, it } from 'mocha'
import { maskBuyers } from '../../dashboard/masking.ts'
import { fingerprintOf } from '../../src/dead-letters/letters.ts'
import { letterOfJob } from '../../workers/bridge/dead-letters.ts'

const USER = '0198c0de-1111-7abc-8def-0123456789ab'
const LONG = 1_000_000

const job = { step: 'create-order', jobId: 'create-order-x', payload: {}, error: 'a bug', attempts: 10 }

function tookMs(work: () => unknown): number {
  const began = performance.now()
  work()
  return performance.now() - began
}

describe('buyers in what the dashboard shows of jobs', () => {
  const cases: [what: string, data: unknown, shown: unknown][] = [
    ['an e-mail', 'to alice.b+c@mail.shop.example now', 'to a…@mail.shop.example now'],
    ['one after a control character', { e: '\u0001alice@shop.example' }, { e: '\u0001a…@shop.example' }],
    ['one after a quote', '"\\alice@shop.example', '"\\a…@shop.example'],
    [
      'an id',
      [{ user_id: USER }, { USER_ID: [USER] }],
      [{ user_id: '0198c0de…' }, { USER_ID: ['0198c0de…'] }],
    ],
    ['an id in text that was cut', `{"user_id" : "${USER}", "q`, '{"user_id" : "0198c0de…", "q'],
    [
      'a message within a message',
      JSON.stringify({ m: JSON.stringify({ user_id: USER }) }),
      JSON.stringify({ m: JSON.stringify({ user_id: '0198c0de…' }) }),
    ],
    ['a name', { 'bob@shop.example': 1 }, { 'b…@shop.example': 1 }],
    ['nobody', { rid: USER, n: 1, none: null, yes: true }, { rid: USER, n: 1, none: null, yes: true }],
    ['nothing', undefined, undefined],
  ]
  for (const [what, data, shown] of cases)
    it(`are masked: ${what}`, () => expect(maskBuyers(data)).to.deep.equal(shown))

  it('are masked in time that grows with the text, whatever it is made of', () => {
    for (const part of ['a', 'a@', 'a.', 'a@b.', '\\', '"user_id"', ' "user_id\\" :'])
      expect(
        tookMs(() => maskBuyers(part.repeat(LONG / part.length))),
        part,
      ).to.be.lessThan(1_000)
  })

  it('are masked in data of any depth, of which the rest is left out', () => {
    const deep: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))
    expect(JSON.stringify(maskBuyers(deep))).to.match(/^\[+"…"\]+$/)
  })
})

describe('the group of a dead letter', () => {
  it('is found in time that grows with the reason', () => {
    for (const part of ['a', 'f', 'a@', '1', '1-'])
      expect(
        tookMs(() => fingerprintOf({ ...letterOfJob(job), reason: part.repeat(LONG / part.length) })),
        part,
      ).to.be.lessThan(1_000)
  })

  it('is that of the others when a job dies of a long error, of which the beginning is kept', () => {
    const [one, other] = ['x', 'y'].map((end) => letterOfJob({ ...job, error: 'é'.repeat(2_000) + end }))
    expect(one?.reason).to.have.length(2_000)
    expect(one && fingerprintOf(one)).to.equal(other && fingerprintOf(other))
  })
})
