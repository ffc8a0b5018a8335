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

  it('are forgotten, the oldest first, when there are too many', () => {
    const checked = new CheckedTokens()
    for (let n = 0; n <= 20_000; n++) checked.add(`Bearer ${n}`, claims(nowS() + 60))
    expect(checked.find('Bearer 0')).to.equal(undefined)
    expect(checked.find('Bearer 1')).to.not.equal(undefined)
    expect(checked.find('Bearer 20000')).to.not.equal(undefined)
  })
})
