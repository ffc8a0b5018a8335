import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { serverOf } from '../../src/platform/redis/server.ts'
import { expectNothingChanged, openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

describe('open.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  it('writes the stock and the whole gate', async () => {
    const spike = ground.blank()
    const reply = await spike.open({
      epoch: 3,
      status: 'paused',
      startMs: 1_000,
      endMs: 2_000,
      granted: 40,
      perUserLimit: 2,
      lapseLimit: 5,
    })
    expect(reply).to.equal('OPENED')
    expect(await spike.stock()).to.equal('40')
    expect(await ground.redis.hgetall(spike.keys.gate)).to.deep.equal({
      epoch: '3',
      status: 'paused',
      start_ms: '1000',
      end_ms: '2000',
      granted: '40',
      paid: '0',
      per_user_limit: '2',
      lapse_limit: '5',
      run_id: (await serverOf(ground.redis, spike.keys.gate)).runId,
    })
  })

  for (const epoch of [1, 2])
    it(`never sets a stock again: an epoch ${epoch} changes nothing where epoch 2 is open`, async () => {
      const spike = await ground.open({ epoch: 2 })
      await spike.held()
      const reply = await expectNothingChanged(spike, () => spike.open({ epoch, granted: 999 }))
      expect(reply).to.equal('EXISTS')
    })

  it('compares epochs as numbers, not as text', async () => {
    const spike = await ground.open({ epoch: 10 })
    expect(await expectNothingChanged(spike, () => spike.open({ epoch: 9 }))).to.equal('EXISTS')
  })

  it('does not open a later epoch over reservations: that takes a rebuild', async () => {
    const spike = await ground.open({ epoch: 1 })
    await spike.held()
    expect(await expectNothingChanged(spike, () => spike.open({ epoch: 2 }))).to.equal('OCCUPIED')
  })

  for (const slot of ['holders', 'states'] as const)
    it(`does not open over ${slot} whose gate is lost`, async () => {
      const spike = await ground.open()
      await spike.held()
      for (const key of ['gate', 'stock', slot === 'holders' ? 'states' : 'holders'] as const)
        await ground.redis.del(spike.keys[key])
      expect(await expectNothingChanged(spike, () => spike.open())).to.equal('OCCUPIED')
    })

  it('opens once when many processes open at the same time', async () => {
    const spike = ground.blank()
    const lines = ground.connect(4)
    const input = { eventId: spike.id, epoch: 1, status: 'open' as const, startMs: 0, endMs: 1 }
    const replies = await Promise.all(
      lines.flatMap(({ scripts }, i) =>
        Array.from({ length: 5 }, () =>
          scripts.open({ ...input, granted: 10 + i, perUserLimit: 1, lapseLimit: 1 }),
        ),
      ),
    )
    expect(replies.filter((reply) => reply === 'OPENED')).to.have.length(1)
    expect(replies.filter((reply) => reply === 'EXISTS')).to.have.length(19)
    expect(await spike.stock()).to.equal(await ground.redis.hget(spike.keys.gate, 'granted'))
  })

  it('fails on a gate of a wrong type, and changes nothing', async () => {
    const spike = ground.blank()
    await spike.breakKey(spike.keys.gate)
    const reply = await expectNothingChanged(spike, () => spike.open())
    expect(reply).to.be.an('error').with.property('message').that.includes('WRONGTYPE')
  })

  for (const slot of ['holders', 'states'] as const)
    it(`does not open over a ${slot} key of a wrong type`, async () => {
      const spike = ground.blank()
      await spike.breakKey(spike.keys[slot])
      expect(await expectNothingChanged(spike, () => spike.open())).to.equal('OCCUPIED')
    })

  it('replaces whatever lies in the place of the stock, as nothing was sold from it', async () => {
    const spike = ground.blank()
    await spike.breakKey(spike.keys.stock)
    expect(await spike.open({ granted: 4 })).to.equal('OPENED')
    expect(await spike.stock()).to.equal('4')
  })
})
