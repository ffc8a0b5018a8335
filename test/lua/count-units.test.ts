import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { expectNothingChanged, openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

describe('count-units.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  it('counts units, not reservations, by their state', async () => {
    const spike = await ground.open({ granted: 30, perUserLimit: 5 })
    await spike.held({ quantity: 1 })
    await spike.queued({ quantity: 2 })
    await spike.confirmed({ quantity: 3 })
    await spike.confirmed({ quantity: 1 })
    await spike.paid({ quantity: 5 })
    await spike.released({ quantity: 2 })
    expect(await spike.count()).to.deep.equal({
      granted: 30,
      stock: 18,
      held: 1,
      queued: 2,
      confirmed: 4,
      paid: 5,
      released: 2,
    })
  })

  it('counts nothing of a sale that nobody has bought from', async () => {
    const spike = await ground.open({ granted: 3 })
    const none = { held: 0, queued: 0, confirmed: 0, paid: 0, released: 0 }
    expect(await spike.count()).to.deep.equal({ granted: 3, stock: 3, ...none })
  })

  it('changes nothing', async () => {
    const spike = await ground.open()
    await spike.paid()
    await expectNothingChanged(spike, () => spike.count())
  })

  it('is not ready without a gate', async () => {
    expect(await ground.blank().count()).to.equal('NOT_READY')
  })

  for (const slot of ['gate', 'stock', 'states'] as const)
    it(`fails on a ${slot} key of a wrong type`, async () => {
      const spike = await ground.open()
      await spike.held()
      await spike.breakKey(spike.keys[slot])
      const reply = await expectNothingChanged(spike, () => spike.count())
      expect(reply).to.be.an('error').with.property('message').that.includes('WRONGTYPE')
    })

  for (const [what, spoil] of [
    ['is no integer', (key: string) => ground.redis.set(key, '1.5')],
    ['is gone', (key: string) => ground.redis.del(key)],
  ] as const)
    it(`fails when the stock ${what}, instead of counting it as something`, async () => {
      const spike = await ground.open()
      await spoil(spike.keys.stock)
      expect(await expectNothingChanged(spike, () => spike.count())).to.be.an('error')
    })

  it('fails on a record that no script has written', async () => {
    const spike = await ground.open()
    await ground.redis.hset(spike.keys.states, 'a rid', 'lost|1|somebody')
    expect(await expectNothingChanged(spike, () => spike.count())).to.be.an('error')
  })
})
