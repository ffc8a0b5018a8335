import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { openSpikeRedis, type Spike, type SpikeRedis } from '../support/spike-redis.ts'

const SLOTS = ['gate', 'stock', 'holders', 'states', 'lapses', 'log'] as const

describe('reserve.lua over broken keys', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  for (const slot of SLOTS)
    it(`names the ${slot} key when it has a wrong type, and changes nothing`, async () => {
      const spike = await ground.open()
      await spike.held()
      await spike.breakKey(spike.keys[slot])
      await expectCorrupt(spike, spike.keys[slot])
    })

  for (const value of ['', 'many', '1.5', '1e3', ' 7', '0x10', 'nan'])
    it(`does not sell from a stock that reads ${JSON.stringify(value)}`, async () => {
      const spike = await ground.open()
      await ground.redis.set(spike.keys.stock, value)
      await expectCorrupt(spike, spike.keys.stock)
    })

  it('does not sell from a stock that is gone, and does not write one', async () => {
    const spike = await ground.open()
    await ground.redis.del(spike.keys.stock)
    await expectCorrupt(spike, spike.keys.stock)
  })

  it('names the states key when the holder’s own record is gone', async () => {
    const spike = await ground.open()
    const claim = await spike.held()
    await ground.redis.hdel(spike.keys.states, claim.rid)
    const { reply, before, after } = await spike.around(() => spike.reserve(claim))
    expect(reply).to.deep.equal({ kind: 'corrupt', key: spike.keys.states })
    expect(after).to.deep.equal(before)
  })

  for (const field of ['start_ms', 'end_ms', 'per_user_limit', 'epoch'])
    it(`takes nothing through a gate without ${field}`, async () => {
      const spike = await ground.open()
      await ground.redis.hdel(spike.keys.gate, field)
      const { reply, before, after } = await spike.around(() => spike.reserve(spike.claim()))
      if (!(reply instanceof Error)) expect(reply.kind).to.equal('corrupt')
      expect(after).to.deep.equal(before)
    })
})

async function expectCorrupt(spike: Spike, key: string): Promise<void> {
  const { reply, before, after } = await spike.around(() => spike.reserve(spike.claim()))
  expect(reply).to.deep.equal({ kind: 'corrupt', key })
  expect(after).to.deep.equal(before)
}
