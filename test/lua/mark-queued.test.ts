import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { decodeRecord } from '../../src/reserve/record.ts'
import { expectNothingChanged, openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

describe('mark-queued.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  it('makes held rids queued and tells how many, leaving all else of their records', async () => {
    const spike = await ground.open()
    const claims = [await spike.held(), await spike.held(), await spike.held()]
    const before = await Promise.all(claims.map(async (claim) => (await spike.record(claim)) ?? ''))
    expect(await spike.markQueued(...claims)).to.equal(3)
    const after = await Promise.all(claims.map((claim) => spike.record(claim)))
    expect(after).to.deep.equal(before.map((record) => record.replace('held|', 'queued|')))
  })

  it('keeps the log entries: the verdict has not been applied yet', async () => {
    const spike = await ground.open()
    await spike.markQueued(await spike.held())
    expect(await ground.redis.xlen(spike.keys.log)).to.equal(1)
  })

  it('changes nothing when it is run again', async () => {
    const spike = await ground.open()
    const claim = await spike.queued()
    expect(await expectNothingChanged(spike, () => spike.markQueued(claim))).to.equal(0)
  })

  for (const further of ['confirmed', 'paid', 'released'] as const)
    it(`never brings a ${further} rid back`, async () => {
      const spike = await ground.open()
      const claim = await spike[further]()
      expect(await expectNothingChanged(spike, () => spike.markQueued(claim))).to.equal(0)
    })

  it('passes over rids that it does not know', async () => {
    const spike = await ground.open()
    const known = await spike.held()
    expect(await spike.markQueued(spike.claim(), known, spike.claim())).to.equal(1)
    expect(decodeRecord((await spike.record(known)) ?? '').state).to.equal('queued')
    expect(await ground.redis.hlen(spike.keys.states), 'records').to.equal(1)
  })

  it('tells the event’s channel of the rids that it changed, and of no others', async () => {
    const spike = await ground.open()
    const [held, queued] = [await spike.held(), await spike.queued()]
    const heard = await ground.notices(spike, async () => {
      await spike.markQueued(queued, held, spike.claim())
      await spike.markQueued(held)
    })
    expect(heard).to.deep.equal([held.rid])
  })

  it('fails on a states key of a wrong type, and changes nothing', async () => {
    const spike = await ground.open()
    const claim = await spike.held()
    await spike.breakKey(spike.keys.states)
    const reply = await expectNothingChanged(spike, () => spike.markQueued(claim))
    expect(reply).to.be.an('error').with.property('message').that.includes('WRONGTYPE')
  })
})
