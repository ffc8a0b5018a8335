import { expect } from 'chai'
import { describe, it } from 'mocha'
import { OUTCOMES, projectSellOut, ratesOver } from '../../src/figures/rates.ts'

describe('rates', () => {
  it('are of the time between the last count and the first one of the window', () => {
    const points = [
      { atMs: 0, counts: { accepted: 0 } },
      { atMs: 6_000, counts: { accepted: 100, sold_out: 10 } },
      { atMs: 8_000, counts: { accepted: 120, sold_out: 30 } },
      { atMs: 10_000, counts: { accepted: 120, sold_out: 90 } },
    ]
    const rates = ratesOver(points, 4_000)
    expect(rates).to.include({ accepted: 5, sold_out: 20, existing: 0 })
    expect(Object.keys(rates ?? {})).to.deep.equal([...OUTCOMES])
    expect(ratesOver(points, 1_000), 'nothing else in the window').to.equal(null)
    expect(ratesOver(points.slice(0, 1), 4_000)).to.equal(null)
    expect(ratesOver([], 4_000)).to.equal(null)
  })

  it('begin at 0 when the counts were lost', () => {
    const points = [
      { atMs: 0, counts: { accepted: 1_000 } },
      { atMs: 1_000, counts: { accepted: 7 } },
    ]
    expect(ratesOver(points, 4_000)).to.include({ accepted: 7 })
  })
})

describe('the projected sell-out', () => {
  const line = (...free: number[]) => free.map((units, i) => ({ atMs: 1_000 * i, free: units }))

  it('follows a straight line through the free units', () => {
    expect(projectSellOut(line(100, 90, 80, 70), 30_000)).to.deep.equal({ atMs: 10_000, perSecond: 10 })
  })

  it('looks at the window alone', () => {
    const points = line(1_000, 500, 100, 99, 98, 97)
    expect(projectSellOut(points, 3_000)).to.deep.equal({ atMs: 102_000, perSecond: 1 })
  })

  it('begins anew when units are added or come back', () => {
    const points = line(100, 50, 0, 40, 39, 38)
    expect(projectSellOut(points, 30_000)).to.deep.equal({ atMs: 43_000, perSecond: 1 })
    expect(projectSellOut(line(100, 50, 0, 3, 3, 3), 30_000)).to.equal(null)
  })

  it('is none when units are not falling, are gone, or nobody can tell yet', () => {
    expect(projectSellOut(line(50, 50, 50), 30_000)).to.equal(null)
    expect(projectSellOut(line(50, 60, 70), 30_000)).to.equal(null)
    expect(projectSellOut(line(20, 10, 0), 30_000)).to.equal(null)
    expect(projectSellOut(line(20, 10), 30_000)).to.equal(null)
    expect(projectSellOut([], 30_000)).to.equal(null)
    const stopped = [5, 4, 3].map((free) => ({ atMs: 7, free }))
    expect(projectSellOut(stopped, 30_000), 'points of one moment').to.equal(null)
  })
})
