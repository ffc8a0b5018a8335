import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { decodeRecord } from '../../src/reserve/record.ts'
import { expectNothingChanged, openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

const SLOTS = ['gate', 'stock', 'holders', 'states', 'log'] as const

describe('confirm.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  for (const from of ['held', 'queued'] as const)
    it(`makes a ${from} rid confirmed, keeps its unit and ends its log entry`, async () => {
      const spike = await ground.open({ perUserLimit: 2 })
      const claim = await spike[from]({ quantity: 2 })
      const reservedAtMs = decodeRecord((await spike.record(claim)) ?? '').reservedAtMs
      expect(await spike.confirm(claim)).to.equal('CONFIRMED')
      expect(decodeRecord((await spike.record(claim)) ?? '')).to.deep.equal({
        state: 'confirmed',
        quantity: 2,
        userId: claim.userId,
        reservedAtMs,
        orderId: `order-of-${claim.rid}`,
        expiresAtMs: 1_900_000_000_000,
        reason: undefined,
      })
      expect(await spike.stock()).to.equal('8')
      expect(await ground.redis.hget(spike.keys.holders, claim.userId)).to.equal(claim.rid)
      expect(await ground.redis.xlen(spike.keys.log)).to.equal(0)
    })

  it('ends the log entry of its own rid only', async () => {
    const spike = await ground.open()
    const [first, other] = [await spike.held(), await spike.held()]
    await spike.confirm(first)
    const log = await ground.redis.xrange(spike.keys.log, '-', '+')
    expect(log.map(([, fields]) => fields?.[1])).to.deep.equal([other.rid])
  })

  for (const from of ['confirmed', 'paid', 'released'] as const)
    it(`leaves a rid that is ${from} as it is`, async () => {
      const spike = await ground.open()
      const claim = await spike[from]()
      expect(await expectNothingChanged(spike, () => spike.confirm(claim))).to.equal('UNCHANGED')
    })

  it('takes over a rid that Redis has lost, even when the stock falls below zero', async () => {
    const spike = await ground.open({ granted: 1, perUserLimit: 2 })
    const claim = spike.claim({ quantity: 2 })
    expect(await spike.confirm(claim)).to.equal('ADOPTED')
    expect(await spike.stock()).to.equal('-1')
    expect(await ground.redis.hget(spike.keys.holders, claim.userId)).to.equal(claim.rid)
    expect(decodeRecord((await spike.record(claim)) ?? '')).to.include({ state: 'confirmed', quantity: 2 })
    expect(await spike.count()).to.include({ stock: -1, confirmed: 2 })
  })

  for (const from of ['held', 'confirmed', 'paid'] as const)
    it(`makes a ${from} rid what its buyer holds, who may have been let go or hold another, once`, async () => {
      const spike = await ground.open()
      const [lost, other] = [await spike[from](), await spike[from]()]
      await ground.redis.hdel(spike.keys.holders, lost.userId)
      await ground.redis.hset(spike.keys.holders, other.userId, spike.claim().rid)
      for (const claim of [lost, other]) {
        expect(await spike.confirm(claim)).to.equal(from === 'held' ? 'CONFIRMED' : 'HOLDER')
        expect(await ground.redis.hget(spike.keys.holders, claim.userId)).to.equal(claim.rid)
        expect(await expectNothingChanged(spike, () => spike.confirm(claim))).to.equal('UNCHANGED')
      }
      expect(await spike.stock()).to.equal('8')
    })

  it('adopts a rid once', async () => {
    const spike = await ground.open()
    const claim = spike.claim()
    await spike.confirm(claim)
    expect(await expectNothingChanged(spike, () => spike.confirm(claim))).to.equal('UNCHANGED')
  })

  it('lets nobody reserve while adopted units have the stock below zero', async () => {
    const spike = await ground.open({ granted: 1 })
    await spike.confirm(spike.claim())
    await spike.confirm(spike.claim())
    expect(await spike.reserve(spike.claim())).to.have.property('kind', 'all_held')
  })

  it('does not revive a rid whose release came first', async () => {
    const spike = await ground.open()
    const claim = spike.claim()
    expect(await spike.release(claim)).to.equal('TOMBSTONE')
    expect(await expectNothingChanged(spike, () => spike.confirm(claim))).to.equal('UNCHANGED')
  })

  it('is not ready without a gate, and changes nothing', async () => {
    const spike = await ground.open()
    const claim = await spike.held()
    await ground.redis.del(spike.keys.gate)
    expect(await expectNothingChanged(spike, () => spike.confirm(claim))).to.equal('NOT_READY')
  })

  for (const slot of SLOTS)
    it(`fails on a ${slot} key of a wrong type, and changes nothing`, async () => {
      const spike = await ground.open()
      const claim = await spike.held()
      await spike.breakKey(spike.keys[slot])
      const reply = await expectNothingChanged(spike, () => spike.confirm(claim))
      expect(reply)
        .to.be.an('error')
        .with.property('message', `redis key ${spike.keys[slot]} has a wrong type or value`)
    })

  it('fails on a stock that is no integer, and changes nothing', async () => {
    const spike = await ground.open()
    await ground.redis.set(spike.keys.stock, '1.5')
    const reply = await expectNothingChanged(spike, () => spike.confirm(spike.claim()))
    expect(reply).to.be.an('error').with.property('message').that.includes(spike.keys.stock)
  })

  it('tells many of one event at once, each by its own state', async () => {
    const spike = await ground.open()
    const [held, confirmed] = [await spike.held(), await spike.confirmed()]
    const unknown = spike.claim()
    expect(await spike.confirmAll([confirmed, held, unknown, held])).to.deep.equal([
      ['UNCHANGED', 'CONFIRMED', 'ADOPTED', 'UNCHANGED'],
    ])
    for (const claim of [held, confirmed, unknown]) expect(await spike.record(claim)).to.match(/^confirmed\|/)
    expect(await spike.count()).to.include({ held: 0, confirmed: 3 })
  })

  it('tells of many events at once, each on its own channel and as if it was alone', async () => {
    const [one, unready, two] = [await ground.open(), await ground.open(), await ground.open()]
    const held = [await one.held(), await one.held()]
    const stranger = unready.claim()
    const mine = [two.claim(), await two.held(), await two.confirmed()]
    await ground.redis.del(unready.keys.gate)
    const heard = await ground.notices(two, async () => {
      expect(await two.confirmAll(held, [stranger], mine)).to.deep.equal([
        ['CONFIRMED', 'CONFIRMED'],
        ['NOT_READY'],
        ['ADOPTED', 'CONFIRMED', 'UNCHANGED'],
      ])
    })
    expect(heard).to.deep.equal(mine.slice(0, 2).map(({ rid }) => rid))
    expect(await one.count()).to.include({ stock: 8, held: 0, confirmed: 2 })
    expect(await two.count()).to.include({ stock: 7, held: 0, confirmed: 3 })
    for (const claim of mine) expect(await two.record(claim)).to.contain(`|order-of-${claim.rid}|`)
    expect(await ground.redis.xlen(one.keys.log)).to.equal(0)
  })

  it('names an event whose key has a wrong type, and serves those before it and after it', async () => {
    const [one, broken, two] = [await ground.open(), await ground.open(), await ground.open()]
    const claims = [await one.held(), await broken.held(), await two.held()]
    await broken.breakKey(broken.keys.log)
    const told = claims.map((claim) => [claim])
    const failure = await one.confirmAll(...told).catch((error: Error) => error)
    expect(failure).to.be.an('error').with.property('message').that.includes(broken.keys.log)
    expect(await one.count()).to.include({ held: 0, confirmed: 1 })
    expect(await broken.count()).to.include({ held: 1, confirmed: 0 })
    expect(await two.count()).to.include({ held: 0, confirmed: 1 })
  })

  it('gives notice of each change to whoever waits, and of nothing else', async () => {
    const spike = await ground.open()
    const [held, unknown] = [await spike.held(), spike.claim()]
    const heard = await ground.notices(spike, async () => {
      for (const claim of [held, held, unknown, unknown]) await spike.confirm(claim)
    })
    expect(heard).to.deep.equal([held.rid, unknown.rid])
  })
})
