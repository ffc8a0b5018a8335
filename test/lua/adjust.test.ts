import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { expectNothingChanged, openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

describe('adjust.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  for (const delta of [5, -5, -12])
    it(`changes stock and granted units by ${delta}`, async () => {
      const spike = await ground.open({ granted: 10 })
      await spike.held()
      expect(await spike.adjust(delta)).to.equal('ADJUSTED')
      expect(await spike.count()).to.include({ granted: 10 + delta, stock: 9 + delta, held: 1 })
    })

  it('applies an adjustment once by its id', async () => {
    const spike = await ground.open()
    const id = uuidv7()
    await spike.adjust(-3, id)
    expect(await expectNothingChanged(spike, () => spike.adjust(-3, id))).to.equal('UNCHANGED')
  })

  it('applies an adjustment once when many processes apply it at the same time', async () => {
    const spike = await ground.open()
    const input = { eventId: spike.id, adjustmentId: uuidv7(), delta: 4 }
    const replies = await Promise.all(
      ground.connect(4).flatMap(({ scripts }) => Array.from({ length: 5 }, () => scripts.adjust(input))),
    )
    expect(replies.filter((reply) => reply === 'ADJUSTED')).to.have.length(1)
    expect(await spike.count()).to.include({ granted: 14, stock: 14 })
  })

  it('is not ready without a gate, and does not note the adjustment as applied', async () => {
    const spike = ground.blank()
    const id = uuidv7()
    expect(await spike.adjust(5, id)).to.equal('NOT_READY')
    expect(await spike.dump()).to.deep.equal({})
    await spike.open()
    expect(await spike.adjust(5, id)).to.equal('ADJUSTED')
  })

  for (const slot of ['gate', 'stock', 'adjustments'] as const)
    it(`fails on a ${slot} key of a wrong type, and changes nothing`, async () => {
      const spike = await ground.open()
      await spike.adjust(1)
      await spike.breakKey(spike.keys[slot])
      const reply = await expectNothingChanged(spike, () => spike.adjust(2))
      expect(reply).to.be.an('error').with.property('message').that.includes('WRONGTYPE')
    })

  for (const value of ['1.5', 'many', ''])
    it(`fails on a stock that reads "${value}", and changes nothing`, async () => {
      const spike = await ground.open()
      await ground.redis.set(spike.keys.stock, value)
      const reply = await expectNothingChanged(spike, () => spike.adjust(2))
      expect(reply).to.be.an('error').with.property('message', `CORRUPT ${spike.keys.stock}`)
    })

  it('fails when the stock is gone, and writes none', async () => {
    const spike = await ground.open()
    await ground.redis.del(spike.keys.stock)
    expect(await expectNothingChanged(spike, () => spike.adjust(2))).to.be.an('error')
  })

  it('notes nothing as applied when the gate’s granted units are no number', async () => {
    const spike = await ground.open()
    await ground.redis.hset(spike.keys.gate, 'granted', 'many')
    expect(await expectNothingChanged(spike, () => spike.adjust(2))).to.be.an('error')
  })
})
