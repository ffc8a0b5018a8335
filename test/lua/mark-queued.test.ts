import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { decodeRecord } from '../../src/reserve/record.ts'
import { expectNothingChanged, openSpikeRedis, type Claim, type SpikeRedis } from '../support/spike-redis.ts'

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
    expect(reply)
      .to.be.an('error')
      .with.property('message', `redis key ${spike.keys.states} has a wrong type or value`)
  })

  describe('for several events in one call', () => {
    /** An event with two claims. */
    async function eventWithClaims() {
      const spike = await ground.open()
      const claims = [await spike.held(), await spike.held()]
      const stateOf = async (claim: Claim) => decodeRecord((await spike.record(claim)) ?? '').state
      const states = () => Promise.all(claims.map(stateOf))
      return { spike, states, mark: { eventId: spike.id, rids: claims.map(({ rid }) => rid) } }
    }

    it('makes the rids of each queued, however many these are', async () => {
      const [one, two, three] = [await eventWithClaims(), await eventWithClaims(), await eventWithClaims()]
      const marks = [one.mark, { ...two.mark, rids: two.mark.rids.slice(1) }, three.mark]
      expect(await ground.scripts.markQueued(marks)).to.deep.equal([2, 1, 2])
      expect(await one.states()).to.deep.equal(['queued', 'queued'])
      expect(await two.states()).to.deep.equal(['held', 'queued'])
      expect(await three.states()).to.deep.equal(['queued', 'queued'])
    })

    it('tells the channel of each of its own rids', async () => {
      const [one, two] = [await eventWithClaims(), await eventWithClaims()]
      const heardOfTwo = await ground.notices(two.spike, async () => {
        const heardOfOne = await ground.notices(one.spike, async () => {
          await ground.scripts.markQueued([one.mark, two.mark])
        })
        expect(heardOfOne).to.deep.equal(one.mark.rids)
      })
      expect(heardOfTwo).to.deep.equal(two.mark.rids)
    })

    it('names one whose states key has a wrong type, and serves the others', async () => {
      const [one, broken, three] = [await eventWithClaims(), await eventWithClaims(), await eventWithClaims()]
      await broken.spike.breakKey(broken.spike.keys.states)
      const marks = [one.mark, broken.mark, three.mark]
      const failure = await ground.scripts.markQueued(marks).catch((error: Error) => error)
      expect(failure).to.be.an('error').with.property('message').that.includes(broken.spike.keys.states)
      expect(await one.states()).to.deep.equal(['queued', 'queued'])
      expect(await three.states()).to.deep.equal(['queued', 'queued'])
    })
  })
})
