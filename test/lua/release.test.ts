import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { VOID_REASONS } from '../../src/contracts/values.ts'
import { decodeRecord } from '../../src/reserve/record.ts'
import { expectNothingChanged, openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

const SLOTS = ['gate', 'stock', 'holders', 'states', 'lapses', 'log'] as const

describe('release.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  for (const from of ['held', 'queued', 'confirmed', 'paid'] as const)
    it(`gives the units of a ${from} rid back and frees its buyer`, async () => {
      const spike = await ground.open({ perUserLimit: 2 })
      const claim = await spike[from]({ quantity: 2 })
      expect(await spike.stock()).to.equal('8')
      expect(await spike.release(claim, 'duplicate')).to.equal('RELEASED')
      expect(await spike.stock()).to.equal('10')
      expect(await ground.redis.hexists(spike.keys.holders, claim.userId)).to.equal(0)
      expect(await ground.redis.xlen(spike.keys.log)).to.equal(0)
      expect(decodeRecord((await spike.record(claim)) ?? '')).to.include({
        state: 'released',
        quantity: 2,
        userId: claim.userId,
        reason: 'duplicate',
      })
      expect(await spike.reserve(spike.claim({ userId: claim.userId }))).to.include({ kind: 'accepted' })
    })

  it('gives the units of a rid back once', async () => {
    const spike = await ground.open()
    const claim = await spike.released()
    expect(await expectNothingChanged(spike, () => spike.release(claim))).to.equal('UNCHANGED')
    expect(await expectNothingChanged(spike, () => spike.release(claim, 'lapsed'))).to.equal('UNCHANGED')
  })

  it('gives back what was taken, whatever quantity the message tells', async () => {
    const spike = await ground.open()
    const claim = await spike.held()
    expect(await spike.release({ ...claim, quantity: 5 })).to.equal('RELEASED')
    expect(await spike.stock()).to.equal('10')
  })

  it('keeps order and deadline of a confirmed rid for its buyer to read', async () => {
    const spike = await ground.open()
    const claim = await spike.confirmed()
    await spike.release(claim, 'lapsed')
    expect(decodeRecord((await spike.record(claim)) ?? '')).to.include({
      orderId: `order-of-${claim.rid}`,
      expiresAtMs: 1_900_000_000_000,
      reason: 'lapsed',
    })
  })

  it('lets a paid unit that was given back be sold again: SOLD_OUT is taken back', async () => {
    const spike = await ground.open({ granted: 1 })
    const claim = await spike.paid()
    expect(await spike.reserve(spike.claim())).to.deep.equal({ kind: 'sold_out' })
    await spike.release(claim, 'cancelled')
    expect(await ground.redis.hget(spike.keys.gate, 'paid')).to.equal('0')
    await spike.held()
    expect(await spike.reserve(spike.claim())).to.deep.equal({ kind: 'all_held' })
  })

  it('marks an unknown rid as released without raising the stock, once', async () => {
    const spike = await ground.open()
    const claim = spike.claim()
    expect(await spike.release(claim, 'sold_out')).to.equal('TOMBSTONE')
    expect(await spike.stock()).to.equal('10')
    expect(await spike.count()).to.include({ granted: 10, stock: 10, released: 1 })
    expect(decodeRecord((await spike.record(claim)) ?? '')).to.include({
      state: 'released',
      reason: 'sold_out',
    })
    expect(await expectNothingChanged(spike, () => spike.release(claim))).to.equal('UNCHANGED')
  })

  it('frees a buyer who is held by a rid that was released before, once, and gives nothing back', async () => {
    const spike = await ground.open()
    const claim = await spike.released()
    await ground.redis.hset(spike.keys.holders, claim.userId, claim.rid)
    expect(await spike.release(claim)).to.equal('FREED')
    expect(await spike.stock()).to.equal('10')
    expect(await ground.redis.hexists(spike.keys.holders, claim.userId)).to.equal(0)
    expect(await expectNothingChanged(spike, () => spike.release(claim))).to.equal('UNCHANGED')
  })

  it('frees a buyer who is held by a rid that is not known any more', async () => {
    const spike = await ground.open()
    const claim = spike.claim()
    await ground.redis.hset(spike.keys.holders, claim.userId, claim.rid)
    expect(await spike.release(claim)).to.equal('TOMBSTONE')
    expect(await ground.redis.hexists(spike.keys.holders, claim.userId)).to.equal(0)
    expect(await spike.stock()).to.equal('10')
  })

  it('lets a late reserve of a rid that was released before take no unit', async () => {
    const spike = await ground.open()
    const claim = spike.claim()
    await spike.release(claim)
    const reply = await expectNothingChanged(spike, () => spike.reserve(claim))
    expect(reply).to.include({ kind: 'accepted', rid: claim.rid })
  })

  it('leaves the buyer’s holder alone when it is another rid’s', async () => {
    const spike = await ground.open()
    const first = await spike.released()
    const second = await spike.held({ userId: first.userId })
    await spike.release(first)
    const stranger = spike.claim({ userId: first.userId })
    expect(await spike.release(stranger)).to.equal('TOMBSTONE')
    expect(await ground.redis.hget(spike.keys.holders, first.userId)).to.equal(second.rid)
  })

  it('leaves a holder that an adopted rid has taken over', async () => {
    const spike = await ground.open()
    const first = await spike.held()
    const adopted = spike.claim({ userId: first.userId })
    await spike.confirm(adopted)
    expect(await spike.release(first, 'duplicate')).to.equal('RELEASED')
    expect(await ground.redis.hget(spike.keys.holders, first.userId)).to.equal(adopted.rid)
  })

  for (const reason of ['lapsed', 'cancelled'] as const)
    it(`counts an order that was ${reason} against its buyer, once`, async () => {
      const spike = await ground.open()
      const claim = await spike.confirmed()
      await spike.release(claim, reason)
      await spike.release(claim, reason)
      expect(await ground.redis.hgetall(spike.keys.lapses)).to.deep.equal({ [claim.userId]: '1' })
    })

  for (const reason of VOID_REASONS)
    it(`does not hold ${reason} against the buyer`, async () => {
      const spike = await ground.open()
      await spike.released({}, reason)
      expect(await ground.redis.exists(spike.keys.lapses)).to.equal(0)
    })

  it('is not ready without a gate, and changes nothing', async () => {
    const spike = await ground.open()
    const claim = await spike.held()
    await ground.redis.del(spike.keys.gate)
    expect(await expectNothingChanged(spike, () => spike.release(claim))).to.equal('NOT_READY')
  })

  for (const slot of SLOTS)
    it(`fails on a ${slot} key of a wrong type, and changes nothing`, async () => {
      const spike = await ground.open()
      const claim = await spike.held()
      await spike.breakKey(spike.keys[slot])
      const reply = await expectNothingChanged(spike, () => spike.release(claim, 'lapsed'))
      expect(reply)
        .to.be.an('error')
        .with.property('message', `redis key ${spike.keys[slot]} has a wrong type or value`)
    })

  it('fails on a stock that is no integer, and changes nothing', async () => {
    const spike = await ground.open()
    const claim = await spike.held()
    await ground.redis.set(spike.keys.stock, 'none')
    const reply = await expectNothingChanged(spike, () => spike.release(claim))
    expect(reply).to.be.an('error').with.property('message').that.includes(spike.keys.stock)
  })

  for (const [slot, field] of [
    ['lapses', 'of the buyer'],
    ['gate', 'paid'],
  ] as const)
    it(`gives nothing back half-way when the ${slot} field ${field} is no number`, async () => {
      const spike = await ground.open()
      const claim = await spike.paid()
      await ground.redis.hset(spike.keys[slot], slot === 'gate' ? 'paid' : claim.userId, 'many')
      const reply = await expectNothingChanged(spike, () => spike.release(claim, 'cancelled'))
      expect(reply).to.be.an('error')
    })

  it('gives notice of each change to whoever waits, and of nothing else', async () => {
    const spike = await ground.open()
    const [held, unknown] = [await spike.held(), spike.claim()]
    const heard = await ground.notices(spike, async () => {
      for (const claim of [held, held, unknown, unknown]) await spike.release(claim)
    })
    expect(heard).to.deep.equal([held.rid, unknown.rid])
  })
})
