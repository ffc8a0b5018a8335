import { expect } from 'chai'
import { describe, it } from 'mocha'
import { AdaptiveLimit } from '../../src/platform/adaptive-limit.ts'

const SLOW_MS = 400
const QUICK_MS = 10

describe('a limit that adapts', () => {
  let now = 0
  const made = (most = 500) => new AdaptiveLimit(most, () => now)

  /** A tenth of a second in which the limit was reached, or not, and all took as long as each other. */
  function pass(limit: AdaptiveLimit, ms: number, { reached = true } = {}): void {
    if (reached) limit.reached()
    for (let i = 0; i < 10; i++) {
      now += 10
      limit.took(ms)
    }
  }

  it('stays where it is while nobody is turned away, however slow it gets', () => {
    const limit = made()
    for (let i = 0; i < 50; i++) pass(limit, SLOW_MS, { reached: false })
    expect(limit.value).to.equal(500)
  })

  it('falls in proportion to what was too slow, by half at most, and not below a few dozen', () => {
    const limit = made()
    pass(limit, 125)
    expect(limit.value).to.equal(400)
    pass(limit, SLOW_MS)
    expect(limit.value).to.equal(200)
    for (let i = 0; i < 10; i++) pass(limit, SLOW_MS)
    expect(limit.value).to.equal(64)
  })

  it('rises little by little while it is quick enough, and never above its highest', () => {
    const limit = made()
    for (let i = 0; i < 10; i++) pass(limit, SLOW_MS)
    const values = []
    for (let i = 0; i < 30; i++) {
      pass(limit, QUICK_MS)
      values.push(limit.value)
    }
    expect(values.slice(0, 3)).to.deep.equal([71, 79, 87])
    expect(values).to.deep.equal(values.toSorted((a, b) => a - b))
    expect(values.at(-1)).to.equal(500)
  })

  it('finds the number that is done in time, when time grows with the number', () => {
    const limit = made()
    const perSecond = 2_000
    for (let i = 0; i < 100; i++) pass(limit, (limit.value / perSecond) * 1_000)
    expect(limit.value).to.be.within(180, 225)
  })

  it('is the highest again when nobody was turned away for a second', () => {
    const limit = made()
    for (let i = 0; i < 10; i++) pass(limit, SLOW_MS)
    now += 900
    expect(limit.value).to.equal(64)
    now += 1_001
    expect(limit.value).to.equal(500)
    pass(limit, SLOW_MS)
    expect(limit.value).to.equal(250)
  })

  it('is never above a highest that is lower than a few dozen', () => {
    const limit = made(2)
    for (let i = 0; i < 10; i++) pass(limit, SLOW_MS)
    expect(limit.value).to.equal(2)
  })
})
