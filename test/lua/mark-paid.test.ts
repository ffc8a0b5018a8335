import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { expectNothingChanged, openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

describe('mark-paid.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  it('makes a confirmed rid paid and counts its units at the gate', async () => {
    const spike = await ground.open({ perUserLimit: 3 })
    const claim = await spike.confirmed({ quantity: 3 })
    const before = await spike.record(claim)
    expect(await spike.markPaid(claim)).to.equal('PAID')
    expect(await spike.record(claim)).to.equal(before?.replace('confirmed|', 'paid|'))
    expect(await ground.redis.hget(spike.keys.gate, 'paid')).to.equal('3')
    expect(await spike.stock()).to.equal('7')
  })

  for (const other of ['held', 'queued', 'paid', 'released'] as const)
    it(`leaves a rid that is ${other} as it is`, async () => {
      const spike = await ground.open()
      const claim = await spike[other]()
      expect(await expectNothingChanged(spike, () => spike.markPaid(claim))).to.equal('UNCHANGED')
    })

  it('makes no record of a rid that it does not know', async () => {
    const spike = await ground.open()
    expect(await expectNothingChanged(spike, () => spike.markPaid(spike.claim()))).to.equal('UNCHANGED')
  })

  it('makes no gate where there is none', async () => {
    const spike = await ground.open()
    const claim = await spike.confirmed()
    await ground.redis.del(spike.keys.gate)
    expect(await expectNothingChanged(spike, () => spike.markPaid(claim))).to.equal('UNCHANGED')
  })

  for (const slot of ['gate', 'states'] as const)
    it(`fails on a ${slot} key of a wrong type, and changes nothing`, async () => {
      const spike = await ground.open()
      const claim = await spike.confirmed()
      await spike.breakKey(spike.keys[slot])
      const reply = await expectNothingChanged(spike, () => spike.markPaid(claim))
      expect(reply).to.be.an('error').with.property('message').that.includes('WRONGTYPE')
    })

  it('marks nothing half-way when the gate’s count is no number', async () => {
    const spike = await ground.open()
    const claim = await spike.confirmed()
    await ground.redis.hset(spike.keys.gate, 'paid', 'many')
    expect(await expectNothingChanged(spike, () => spike.markPaid(claim))).to.be.an('error')
  })
})
