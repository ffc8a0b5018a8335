import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import type { ReserveReply } from '../../src/reserve/scripts.ts'
import { openSpikeRedis, type Claim, type Spike, type SpikeRedis } from '../support/spike-redis.ts'

const RACERS = 200
const CONNECTIONS = 5

describe('reserve.lua under racing buyers', () => {
  let ground: SpikeRedis
  let lines: ReturnType<SpikeRedis['connect']>
  before(() => {
    ground = openSpikeRedis()
    lines = ground.connect(CONNECTIONS)
  })
  after(() => ground.close())

  /** All claims at once, spread over the connections. */
  const race = (claims: readonly Claim[]): Promise<ReserveReply[]> =>
    Promise.all(
      claims.map((claim, i) => {
        const line = lines[i % lines.length]
        if (line === undefined) throw new Error('no connection')
        return line.scripts.reserve({ ...claim, requestId: String(i) })
      }),
    )

  const racers = (spike: Spike, input: Partial<Claim> = {}): Claim[] =>
    Array.from({ length: RACERS }, () => spike.claim(input))

  for (const units of [1, 7])
    it(`gives ${units} of ${RACERS} racers a unit when ${units} are free`, async () => {
      const spike = await ground.open({ granted: units })
      const replies = await race(racers(spike))
      const won = replies.filter((reply) => reply.kind === 'accepted')
      const lost = replies.filter((reply) => reply.kind === 'all_held')
      expect([won.length, lost.length]).to.deep.equal([units, RACERS - units])
      expect(new Set(won.map(({ rid }) => rid)).size, 'rids').to.equal(units)
      expect(await spike.stock()).to.equal('0')
      expect(await ground.redis.xlen(spike.keys.log), 'log entries').to.equal(units)
      expect(await ground.redis.hlen(spike.keys.holders), 'holders').to.equal(units)
      expect(await ground.redis.hlen(spike.keys.states), 'records').to.equal(units)
    })

  it('gives a buyer who clicks on many connections one claim, and all clicks the same rid', async () => {
    const spike = await ground.open({ granted: 50 })
    const replies = await race(racers(spike, { userId: uuidv7() }))
    const rids = new Set(replies.map((reply) => ('rid' in reply ? reply.rid : reply.kind)))
    expect(rids.size).to.equal(1)
    expect(replies.filter((reply) => reply.kind === 'accepted')).to.have.length(1)
    expect(replies.filter((reply) => reply.kind === 'existing')).to.have.length(RACERS - 1)
    expect(await spike.stock()).to.equal('49')
  })

  it('takes one unit for a rid that is sent on many connections', async () => {
    const spike = await ground.open({ granted: 50 })
    const claim = spike.claim()
    const replies = await race(Array.from({ length: RACERS }, () => claim))
    expect(new Set(replies.map((reply) => JSON.stringify(reply))).size, 'different answers').to.equal(1)
    expect(replies[0]).to.include({ kind: 'accepted', rid: claim.rid })
    expect(await spike.stock()).to.equal('49')
    expect(await ground.redis.xlen(spike.keys.log)).to.equal(1)
  })

  it('fills the stock to the last unit when racers want different quantities', async () => {
    const spike = await ground.open({ granted: 101, perUserLimit: 3 })
    const claims = racers(spike).map((claim, i) => ({ ...claim, quantity: 1 + (i % 3) }))
    const replies = await race(claims)
    const units = claims.reduce(
      (sum, { quantity }, i) => sum + (replies[i]?.kind === 'accepted' ? quantity : 0),
      0,
    )
    expect(units, 'units given').to.equal(101)
    expect(await spike.count()).to.include({ granted: 101, stock: 0, held: 101 })
  })

  it('gives released units to racers once each', async () => {
    const spike = await ground.open({ granted: 5 })
    const holders = await Promise.all(Array.from({ length: 5 }, () => spike.held()))
    const [replies] = await Promise.all([
      race(racers(spike)),
      ...holders.map((claim) => spike.release(claim)),
      ...holders.map((claim) => spike.release(claim)),
    ])
    const won = replies.filter((reply) => reply.kind === 'accepted').length
    expect(won).to.be.at.most(5)
    expect(await spike.count()).to.include({ held: won, stock: 5 - won, released: 5 })
  })
})
