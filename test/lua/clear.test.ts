import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { expectNothingChanged, openSpikeRedis, type Spike, type SpikeRedis } from '../support/spike-redis.ts'

describe('clear.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  const clear = (spike: Spike, change: { epoch?: number; records?: number } = {}) =>
    ground.scripts.clear({ eventId: spike.id, epoch: 1, records: 3, released: 2, ...change })

  /** Two units paid, one released twice, nothing free. */
  async function ended() {
    const spike = await ground.open({ granted: 2, perUserLimit: 2 })
    const released = await spike.released({ quantity: 2 }, 'lapsed')
    const [paid, other] = [await spike.paid(), await spike.paid()]
    await spike.setStatus('ended')
    return { spike, released, paid, other }
  }

  it('removes what the event keeps of its buyers, and counts as before', async () => {
    const { spike } = await ended()
    await spike.adjust(1)
    await spike.adjust(-1)
    const counts = await spike.count()
    expect(counts).to.include({ granted: 2, stock: 0, paid: 2, released: 2 })
    expect(await clear(spike)).to.equal('CLEARED')
    const { gate, stock, holders, states, lapses, log, adjustments } = spike.keys
    expect(await ground.redis.exists(holders, states, lapses, log, adjustments)).to.equal(0)
    expect(await ground.redis.exists(gate, stock)).to.equal(2)
    expect(await spike.count()).to.deep.equal(counts)
  })

  it('leaves an event that has ended for everybody, and takes no verdict any more', async () => {
    const { spike, paid, released } = await ended()
    await clear(spike)
    await expectNothingChanged(spike, async () => {
      for (const claim of [spike.claim(), spike.claim({ userId: paid.userId })])
        expect((await spike.reserve(claim)).kind).to.equal('ended')
      for (const claim of [paid, released, spike.claim()]) {
        expect(await spike.confirm(claim)).to.equal('UNCHANGED')
        expect(await spike.markPaid(claim)).to.equal('UNCHANGED')
        expect(await spike.release(claim, 'lapsed')).to.equal('UNCHANGED')
        expect(await spike.markQueued(claim)).to.equal(0)
      }
    })
  })

  const changes: [string, (spike: Spike) => Promise<unknown>, object?][] = [
    ['is open', (spike) => spike.setStatus('open')],
    ['is closed by a rebuild', (spike) => spike.setStatus('closed')],
    ['was rebuilt meanwhile', async () => undefined, { epoch: 2 }],
    ['has more records than were looked at', async () => undefined, { records: 2 }],
    ['has a reservation in its log', (spike) => ground.redis.xadd(spike.keys.log, '*', 'rid', 'any')],
    ['was cleared before', (spike) => clear(spike)],
  ]
  for (const [what, change, input] of changes)
    it(`changes nothing when the event ${what}`, async () => {
      const { spike } = await ended()
      await change(spike)
      expect(await expectNothingChanged(spike, () => clear(spike, input))).to.equal('CHANGED')
    })

  it('makes no gate where there is none', async () => {
    const spike = ground.blank()
    expect(await expectNothingChanged(spike, () => clear(spike))).to.equal('CHANGED')
  })

  it('changes nothing when a key is broken', async () => {
    for (const name of ['states', 'log'] as const) {
      const { spike } = await ended()
      await spike.breakKey(spike.keys[name])
      expect(await expectNothingChanged(spike, () => clear(spike))).to.be.instanceOf(Error)
    }
  })
})
