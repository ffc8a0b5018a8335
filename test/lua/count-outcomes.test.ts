import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { readOutcomes, readRejectedPeak } from '../../src/reserve/outcome-counts.ts'
import { rejectedInSecondKey } from '../../src/reserve/keys.ts'
import { openSpikeRedis, type Spike, type SpikeRedis } from '../support/spike-redis.ts'

const NOON = 1_900_000_000

describe('count-outcomes.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  const second = ({ id }: Spike, at: number, outcomes: Record<string, number>) => ({
    eventId: id,
    second: at,
    outcomes: new Map(Object.entries(outcomes)),
  })

  it('adds up outcomes over calls and seconds, of many events in one call', async () => {
    const [one, two] = [await ground.open(), await ground.open()]
    const counted = await ground.scripts.countOutcomes([
      second(one, NOON, { accepted: 2, sold_out: 3 }),
      second(two, NOON, { all_held: 1 }),
      second(one, NOON + 1, { accepted: 5 }),
    ])
    expect(counted).to.deep.equal(['OK', 'OK', 'OK'])
    await ground.scripts.countOutcomes([second(one, NOON + 1, { sold_out: 1, existing: 1 })])
    expect(await readOutcomes(ground.redis, one.id)).to.deep.equal({ accepted: 7, sold_out: 4, existing: 1 })
    expect(await readOutcomes(ground.redis, two.id)).to.deep.equal({ all_held: 1 })
  })

  it('keeps the busiest second, by the sum of all that were told of it', async () => {
    const spike = await ground.open()
    const peak = async () => {
      const found = await readRejectedPeak(ground.redis, spike.id)
      return found && [found.second.getTime() / 1_000 - NOON, found.count]
    }
    const tell = (at: number, n: number) => ground.scripts.countOutcomes([second(spike, at, { sold_out: n })])
    await tell(NOON, 4)
    await tell(NOON + 1, 3)
    expect(await peak()).to.deep.equal([0, 4])
    await tell(NOON + 1, 3)
    expect(await peak()).to.deep.equal([1, 6])
    await tell(NOON, 1)
    expect(await peak()).to.deep.equal([1, 6])
  })

  it('forgets single seconds by itself, and has none where nothing was rejected', async () => {
    const spike = await ground.open()
    await ground.scripts.countOutcomes([
      second(spike, NOON, { sold_out: 1 }),
      second(spike, NOON + 1, { accepted: 1 }),
    ])
    expect(await ground.redis.ttl(rejectedInSecondKey(spike.id, NOON))).to.be.within(1, 60)
    expect(await ground.redis.exists(rejectedInSecondKey(spike.id, NOON + 1))).to.equal(0)
  })

  for (const slot of ['outcomes', 'rejectedPeak'] as const)
    it(`names a ${slot} key of a wrong type, counts nothing of its event and all of the others`, async () => {
      const [broken, other] = [await ground.open(), await ground.open()]
      await broken.breakKey(broken.keys[slot])
      const failure = await ground.scripts
        .countOutcomes([second(broken, NOON, { sold_out: 1 }), second(other, NOON, { sold_out: 1 })])
        .catch((error: Error) => error)
      expect(failure).to.be.an('error').with.property('message').that.includes(broken.keys[slot])
      expect(await ground.redis.exists(rejectedInSecondKey(broken.id, NOON))).to.equal(0)
      expect(await readOutcomes(ground.redis, other.id)).to.deep.equal({ sold_out: 1 })
    })
})
