import { expect } from 'chai'
import { describe, it } from 'mocha'
import { CheckedTokens } from '../../src/http/middleware/checked-tokens.ts'
import type { Claims } from '../../src/users/tokens.ts'

const nowS = (): number => Math.floor(Date.now() / 1_000)
const claims = (exp: number): Claims => ({
  sub: '01a20000-0000-7000-8000-000000000000',
  role: 'user',
  ver: 1,
  exp,
})

describe('tokens that were checked', () => {
  it('are known by the whole header, until they end by themselves', () => {
    const checked = new CheckedTokens()
    const good = claims(nowS() + 60)
    checked.add('Bearer a', good)
    checked.add('Bearer b', claims(nowS()))
    expect(checked.find('Bearer a')).to.equal(good)
    expect(checked.find('bearer a')).to.equal(undefined)
    expect(checked.find('Bearer a ')).to.equal(undefined)
    expect(checked.find('Bearer b'), 'one that ends in this second').to.equal(undefined)
    expect(checked.find('')).to.equal(undefined)
  })

  it('are forgotten, many at a time, when there are too many; those that were seen of late stay', () => {
    const checked = new CheckedTokens()
    const add = (from: number, to: number) => {
      for (let n = from; n < to; n++) checked.add(`Bearer ${n}`, claims(nowS() + 60))
    }
    add(0, 10_000)
    expect(checked.find('Bearer 0')).to.not.equal(undefined)
    add(10_000, 15_000)
    expect(checked.find('Bearer 1'), 'of the older ones').to.not.equal(undefined)
    add(15_000, 20_000)
    expect(checked.find('Bearer 1'), 'seen again').to.not.equal(undefined)
    expect(checked.find('Bearer 2'), 'not seen again').to.equal(undefined)
    expect(checked.find('Bearer 10000')).to.not.equal(undefined)
  })
})
