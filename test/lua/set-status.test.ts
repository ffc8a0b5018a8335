import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { expectNothingChanged, openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

describe('set-status.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  for (const status of ['open', 'paused', 'ended', 'closed'] as const)
    it(`sets the gate to ${status} and nothing else`, async () => {
      const spike = await ground.open({ status: status === 'open' ? 'paused' : 'open' })
      const before = await ground.redis.hgetall(spike.keys.gate)
      expect(await spike.setStatus(status)).to.equal('OK')
      expect(await ground.redis.hgetall(spike.keys.gate)).to.deep.equal({ ...before, status })
      expect(await expectNothingChanged(spike, () => spike.setStatus(status)), 'second run').to.equal('OK')
    })

  it('never makes a gate', async () => {
    const spike = ground.blank()
    expect(await spike.setStatus('open')).to.equal('NOT_READY')
    expect(await spike.dump()).to.deep.equal({})
  })

  it('fails on a gate of a wrong type, and changes nothing', async () => {
    const spike = await ground.open()
    await spike.breakKey(spike.keys.gate)
    const reply = await expectNothingChanged(spike, () => spike.setStatus('paused'))
    expect(reply).to.be.an('error').with.property('message').that.includes('WRONGTYPE')
  })
})
