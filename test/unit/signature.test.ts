import { createHmac } from 'node:crypto'
import { expect } from 'chai'
import { describe, it } from 'mocha'
import { isSigned, signCallback } from '../../src/payments/signature.ts'

const SECRET = 'a secret of the provider'
const BODY = '{"txn_id":"t1","amount":100}'
const NOW = 1_700_000_000_000
const TOLERANCE_MS = 5 * 60_000
const HEADER = signCallback(SECRET, BODY, NOW)

describe('the signature of a payment callback', () => {
  it('is the documented one, so that a real provider can make it', () => {
    const hex = createHmac('sha256', SECRET).update(`${NOW}.${BODY}`).digest('hex')
    expect(HEADER).to.equal(`t=${NOW},v1=${hex}`)
    expect(isSigned(SECRET, BODY, HEADER, NOW)).to.equal(true)
  })

  for (const [what, at, good] of [
    ['five minutes old', NOW + TOLERANCE_MS, true],
    ['older than that', NOW + TOLERANCE_MS + 1, false],
    ['a little in the future', NOW - TOLERANCE_MS, true],
    ['far in the future', NOW - TOLERANCE_MS - 1, false],
  ] as const)
    it(`is ${good ? 'good' : 'refused'} when it is ${what}`, () => {
      expect(isSigned(SECRET, BODY, HEADER, at)).to.equal(good)
    })

  it('is refused over another body, with another secret and with another time', () => {
    expect(isSigned(SECRET, BODY.replace('100', '101'), HEADER, NOW)).to.equal(false)
    expect(isSigned(SECRET, `${BODY} `, HEADER, NOW)).to.equal(false)
    expect(isSigned('another secret', BODY, HEADER, NOW)).to.equal(false)
    expect(isSigned(SECRET, BODY, HEADER.replace(`t=${NOW}`, `t=${NOW + 1}`), NOW)).to.equal(false)
  })

  const hex = HEADER.split('v1=')[1] ?? ''
  for (const header of [
    '',
    hex,
    `v1=${hex}`,
    `t=${NOW}`,
    `t=${NOW},v1=`,
    `t=${NOW},v1=${hex.slice(1)}`,
    `t=${NOW},v1=${hex}00`,
    `t=${NOW},v1=${hex.toUpperCase()}`,
    `t=,v1=${hex}`,
    `t=1e12,v1=${hex}`,
    `t=-${NOW},v1=${hex}`,
    ` ${HEADER}`,
    `${HEADER}\n`,
    `${HEADER},v1=${hex}`,
  ])
    it(`is refused as ${JSON.stringify(header).replace(hex, '<hex>').slice(0, 60)}`, () => {
      expect(isSigned(SECRET, BODY, header, NOW)).to.equal(false)
    })
})
