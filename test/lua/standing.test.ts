import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { stageState } from '../../src/reserve/rebuilding.ts'
import { expectNothingChanged, openSpikeRedis, type Spike, type SpikeRedis } from '../support/spike-redis.ts'

const HOUR_MS = 3_600_000
const OTHER = { kind: 'other' }

describe('standing.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  const ask = ({ id }: Spike) => ground.scripts.standing({ eventId: id })

  /** Asks, and sees that asking has changed nothing. */
  async function standing(spike: Spike) {
    const reply = await expectNothingChanged(spike, () => ask(spike))
    if (reply instanceof Error) throw reply
    return reply
  }

  async function generation(spike: Spike): Promise<string> {
    const reply = await standing(spike)
    if (reply.kind === 'other') throw new Error('units are free, or the sale is not open')
    return reply.generation
  }

  /** An event of which no unit is free. */
  async function taken(units = 1) {
    const spike = await ground.open({ granted: units })
    const claims = []
    for (let i = 0; i < units; i++) claims.push(await spike.held())
    return { spike, claims }
  }

  it('tells ALL_HELD while units may come back, and SOLD_OUT once all are paid, as a buyer is told', async () => {
    const { spike, claims } = await taken(2)
    const told = async () => [(await standing(spike)).kind, (await spike.reserve(spike.claim())).kind]
    expect(await told()).to.deep.equal(['all_held', 'all_held'])
    for (const claim of claims) await spike.confirm(claim)
    for (const [i, claim] of claims.entries()) {
      await spike.markPaid(claim)
      const kind = i === 0 ? 'all_held' : 'sold_out'
      expect(await told()).to.deep.equal([kind, kind])
    }
  })

  it('tells SOLD_OUT of an event without units, and of one whose stock is below zero', async () => {
    expect(await standing(await ground.open({ granted: 0 }))).to.have.property('kind', 'sold_out')
    const { spike } = await taken()
    await spike.confirm(spike.claim())
    expect(await spike.stock()).to.equal('-1')
    expect(await standing(spike)).to.have.property('kind', 'all_held')
  })

  it('has nothing to tell while a unit is free', async () => {
    const { spike, claims } = await taken(2)
    await spike.release(claims[0] ?? spike.claim())
    expect(await standing(spike)).to.deep.equal(OTHER)
    expect(await standing(await ground.open())).to.deep.equal(OTHER)
  })

  for (const status of ['paused', 'ended', 'closed'] as const)
    it(`has nothing to tell of a sale that is ${status}`, async () => {
      const { spike } = await taken()
      await spike.setStatus(status)
      expect(await standing(spike)).to.deep.equal(OTHER)
      await spike.setStatus('open')
      expect(await standing(spike)).to.have.property('kind', 'all_held')
    })

  it('has nothing to tell before the start and from the end, by the clock of Redis', async () => {
    const [seconds] = await ground.redis.time()
    const now = Number(seconds) * 1_000
    for (const [from, to] of [
      [1, 2],
      [-2, -1],
    ] as const) {
      const window = { startMs: now + from * HOUR_MS, endMs: now + to * HOUR_MS }
      expect(await standing(await ground.open({ granted: 0, ...window }))).to.deep.equal(OTHER)
    }
  })

  it('has nothing to tell without a gate, or without a stock', async () => {
    expect(await standing(ground.blank())).to.deep.equal(OTHER)
    for (const slot of ['gate', 'stock'] as const) {
      const { spike } = await taken()
      await ground.redis.del(spike.keys[slot])
      expect(await standing(spike)).to.deep.equal(OTHER)
    }
  })

  for (const slot of ['gate', 'stock', 'log'] as const)
    it(`leaves a ${slot} key of a wrong type to the script that takes units`, async () => {
      const { spike } = await taken()
      await spike.breakKey(spike.keys[slot])
      expect(await standing(spike)).to.deep.equal(OTHER)
    })

  it('leaves a stock that is no integer, and a gate that lacks a number, to the script that takes units', async () => {
    const { spike } = await taken()
    await ground.redis.set(spike.keys.stock, '0.5')
    expect(await standing(spike)).to.deep.equal(OTHER)
    for (const field of ['start_ms', 'end_ms', 'granted', 'paid', 'epoch', 'per_user_limit', 'lapse_limit']) {
      const { spike: broken } = await taken()
      await ground.redis.hdel(broken.keys.gate, field)
      expect(await standing(broken), field).to.deep.equal(OTHER)
      expect(await broken.reserve(broken.claim()), field).to.have.property('kind', 'corrupt')
    }
  })

  it('says another generation when a buyer has become a holder, however short a unit was free', async () => {
    const { spike, claims } = await taken()
    const before = await generation(spike)
    await spike.release(claims[0] ?? spike.claim())
    await spike.held()
    const next = await generation(spike)
    expect(next).to.not.equal(before)
    // The unit of the same buyer, too: he holds again.
    const { spike: own, claims: ofOne } = await taken()
    const first = await generation(own)
    const { userId } = ofOne[0] ?? own.claim()
    await own.release(ofOne[0] ?? own.claim())
    await own.held({ userId })
    expect(await generation(own)).to.not.equal(first)
  })

  it('says another generation with a claim that was adopted', async () => {
    const { spike } = await taken()
    const generations = [await generation(spike)]
    for (let i = 0; i < 2; i++) {
      expect(await spike.confirm(spike.claim())).to.equal('ADOPTED')
      generations.push(await generation(spike))
    }
    expect(new Set(generations).size).to.equal(3)
  })

  for (const [from, word] of [
    ['held', 'CONFIRMED'],
    ['confirmed', 'HOLDER'],
    ['paid', 'HOLDER'],
  ] as const)
    it(`says another generation when a ${from} rid becomes what its buyer holds again`, async () => {
      const spike = await ground.open({ granted: 1 })
      const claim = await spike[from]()
      await ground.redis.hdel(spike.keys.holders, claim.userId)
      const before = await generation(spike)
      expect(await spike.confirm(claim)).to.equal(word)
      const after = await generation(spike)
      expect(after).to.not.equal(before)
      expect(await spike.confirm(claim)).to.equal('UNCHANGED')
      expect(await generation(spike)).to.equal(after)
    })

  it('says another generation after a rebuild', async () => {
    const { spike } = await taken()
    const before = await generation(spike)
    await spike.setStatus('closed')
    const { startMs, endMs } = { startMs: Date.now() - HOUR_MS, endMs: Date.now() + HOUR_MS }
    const nothing = { records: new Map(), holders: new Map(), lapses: new Map(), adjustmentIds: [] }
    await stageState(ground.redis, spike.id, 2, nothing)
    const swapped = await ground.scripts.swap({
      eventId: spike.id,
      epoch: 2,
      startMs,
      endMs,
      granted: 1,
      paid: 0,
      perUserLimit: 1,
      lapseLimit: 1,
      stock: 0,
      staged: { holders: 0, records: 0 },
    })
    expect(swapped).to.equal('SWAPPED')
    await spike.setStatus('open')
    expect(await generation(spike)).to.not.equal(before)
  })

  it('says the same generation while nobody becomes a holder', async () => {
    const { spike, claims } = await taken(3)
    const [first, second, third] = claims as [(typeof claims)[0], (typeof claims)[0], (typeof claims)[0]]
    const before = await generation(spike)
    const steps: Record<string, () => Promise<unknown>> = {
      'a mark': () => spike.markQueued(first),
      'a confirmed order': () => spike.confirm(first),
      'a payment': () => spike.markPaid(first),
      'a refused buyer': () => spike.reserve(spike.claim()),
      'a holder who asks again': () => spike.reserve(spike.claim({ userId: first.userId })),
      'the same request again': () => spike.reserve(second),
      'a tombstone': () => spike.release(spike.claim()),
      'a pause': async () => [await spike.setStatus('paused'), await spike.setStatus('open')],
      'an adjustment': async () => [await spike.adjust(1), await spike.adjust(-1)],
      'a release whose unit was taken back': async () => [await spike.release(third), await spike.adjust(-1)],
    }
    for (const [what, step] of Object.entries(steps)) {
      await step()
      expect(await generation(spike), what).to.equal(before)
    }
  })
})
