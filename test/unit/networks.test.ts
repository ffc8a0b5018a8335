import { expect } from 'chai'
import { describe, it } from 'mocha'
import { isNetwork, networkTest, subscriberOf } from '../../src/platform/networks.ts'

describe('isNetwork', () => {
  for (const text of ['0.0.0.0/0', '127.0.0.0/8', '10.1.2.3/32', '::/0', '::1/128', 'fd00::/8'])
    it(`takes ${text}`, () => expect(isNetwork(text)).to.equal(true))
  for (const text of [
    '',
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::1/129',
    'a/8',
    '1.2.3.4/8/8',
    '1.2.3.4/-1',
    '1.2.3.4/1e1',
  ])
    it(`refuses "${text}"`, () => expect(isNetwork(text)).to.equal(false))
})

describe('networkTest', () => {
  const isInside = networkTest(['127.0.0.0/8', '::1/128', 'fd00::/8'])

  it('finds addresses of both families, also IPv4 ones that a socket for both tells', () => {
    for (const address of ['127.0.0.1', '127.255.0.9', '::1', 'fd12:3456::1', '::ffff:127.3.3.3'])
      expect(isInside(address), address).to.equal(true)
  })
  it('knows no other address, and nothing that is none', () => {
    for (const address of [
      '128.0.0.1',
      '::2',
      'fe80::1',
      '::ffff:10.0.0.1',
      '',
      'localhost',
      '127.0.0.1, 10.0.0.1',
    ])
      expect(isInside(address), address).to.equal(false)
  })
  it('without a network knows nobody', () => expect(networkTest([])('127.0.0.1')).to.equal(false))
})

describe('subscriberOf', () => {
  it('is an IPv4 address itself, however it is written', () => {
    for (const address of ['203.0.113.7', '::ffff:203.0.113.7', '::FFFF:cb00:7107'])
      expect(subscriberOf(address)).to.equal('203.0.113.7')
  })
  it('is the /64 of an IPv6 address', () => {
    const same = ['2001:db8:0:1::', '2001:DB8::1:0:0:0:5', '2001:0db8:0000:0001:ffff:ffff:ffff:ffff']
    for (const address of same) expect(subscriberOf(address), address).to.equal('2001:db8:0:1::/64')
    expect(subscriberOf('2001:db8:0:2::')).to.equal('2001:db8:0:2::/64')
    expect(subscriberOf('::1')).to.equal('0:0:0:0::/64')
    expect(subscriberOf('fe80::1%eth0')).to.equal('fe80:0:0:0::/64')
  })
})
