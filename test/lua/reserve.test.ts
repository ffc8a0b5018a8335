import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { decodeRecord } from '../../src/reserve/record.ts'
import { openSpikeRedis, type Claim, type Spike, type SpikeRedis } from '../support/spike-redis.ts'

const HOUR_MS = 3_600_000

describe('reserve.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  it('takes the units of an accepted claim and notes its holder, its record and its log entry', async () => {
    const spike = await ground.open({ granted: 10, perUserLimit: 3, epoch: 7 })
    const claim = spike.claim({ quantity: 3 })
    const [seconds] = await ground.redis.time()
    const reply = await spike.reserve(claim)
    if (reply.kind !== 'accepted') throw new Error(`not accepted: ${reply.kind}`)
    expect(reply).to.include({ rid: claim.rid, epoch: 7 })
    expect(reply.reservedAtMs).to.be.within(Number(seconds) * 1_000, Number(seconds) * 1_000 + 5_000)
    expect(await spike.stock()).to.equal('7')
    expect(await ground.redis.hgetall(spike.keys.holders)).to.deep.equal({ [claim.userId]: claim.rid })
    expect(decodeRecord((await spike.record(claim)) ?? '')).to.deep.equal({
      state: 'held',
      quantity: 3,
      userId: claim.userId,
      reservedAtMs: reply.reservedAtMs,
      orderId: undefined,
      expiresAtMs: undefined,
      reason: undefined,
    })
    const log = await ground.redis.xrange(spike.keys.log, '-', '+')
    const entry = ['rid', claim.rid, 'user', claim.userId, 'quantity', '3', 'epoch', '7']
    const rest = ['reserved_ms', String(reply.reservedAtMs), 'request_id', `request-${claim.rid}`]
    expect(log.map(([, fields]) => fields)).to.deep.equal([[...entry, ...rest]])
    expect((await spike.record(claim))?.split('|')[4], 'log id in the record').to.equal(log[0]?.[0])
  })

  it('names the trace of a purchase in its entry, when it has one', async () => {
    const spike = await ground.open()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await spike.reserve(spike.claim(), traceparent)
    await spike.reserve(spike.claim())
    const [traced, plain] = await ground.redis.xrange(spike.keys.log, '-', '+')
    expect(traced?.[1].slice(-2)).to.deep.equal(['traceparent', traceparent])
    expect(plain?.[1]).to.not.include('traceparent')
  })

  it('answers the same and changes nothing when the same rid comes again', async () => {
    const spike = await ground.open({ granted: 2 })
    const claim = spike.claim()
    const first = await spike.reserve(claim)
    const again = await spike.around(() => spike.reserve(claim))
    expect(again.reply).to.deep.equal(first)
    expect(again.after).to.deep.equal(again.before)
  })

  it('answers a known rid although the sale has been paused or has ended since', async () => {
    const spike = await ground.open()
    const claim = spike.claim()
    const first = await spike.reserve(claim)
    for (const status of ['paused', 'ended'] as const) {
      await spike.setStatus(status)
      expect(await spike.reserve(claim)).to.deep.equal(first)
    }
  })

  for (const [state, further] of [
    ['queued', (spike: Spike, claim: Claim) => spike.markQueued(claim)],
    ['confirmed', (spike: Spike, claim: Claim) => spike.confirm(claim)],
    ['paid', async (spike: Spike, claim: Claim) => [await spike.confirm(claim), await spike.markPaid(claim)]],
  ] as const)
    it(`answers the same and changes nothing when the same rid comes again and is ${state}`, async () => {
      const spike = await ground.open({ granted: 1 })
      const claim = spike.claim()
      const first = await spike.reserve(claim)
      await further(spike, claim)
      const { reply, before, after } = await spike.around(() => spike.reserve(claim))
      expect(reply).to.deep.equal(first)
      expect(after).to.deep.equal(before)
    })

  it('does not take the same rid for other units than it was made for', async () => {
    const spike = await ground.open({ perUserLimit: 5 })
    const claim = await spike.held()
    const { reply, before, after } = await spike.around(() => spike.reserve({ ...claim, quantity: 5 }))
    expect(reply).to.deep.equal({ kind: 'existing', rid: claim.rid })
    expect(after).to.deep.equal(before)
  })

  it('does not take the rid of another buyer', async () => {
    const spike = await ground.open()
    const { rid } = await spike.held()
    const { reply, before, after } = await spike.around(() => spike.reserve(spike.claim({ rid })))
    expect(reply).to.deep.equal({ kind: 'corrupt', key: spike.keys.states })
    expect(after).to.deep.equal(before)
  })

  it('gives a buyer with a live claim that claim’s rid and takes nothing', async () => {
    const spike = await ground.open()
    const first = await spike.held()
    const second = spike.claim({ userId: first.userId })
    const { reply, before, after } = await spike.around(() => spike.reserve(second))
    expect(reply).to.deep.equal({ kind: 'existing', rid: first.rid })
    expect(after).to.deep.equal(before)
  })

  it('lets no rid take a unit again after its own was released', async () => {
    const spike = await ground.open()
    const claim = await spike.released()
    const { reply, before, after } = await spike.around(() => spike.reserve(claim))
    expect(reply).to.include({ kind: 'accepted', rid: claim.rid })
    expect(after).to.deep.equal(before)
  })

  it('is not ready without a gate, and makes none', async () => {
    const spike = ground.blank()
    expect(await spike.reserve(spike.claim())).to.deep.equal({ kind: 'not_ready' })
    expect(await spike.dump()).to.deep.equal({})
  })

  it('is not ready without a gate even when a stock was left behind', async () => {
    const spike = ground.blank()
    await ground.redis.set(spike.keys.stock, '5')
    expect(await spike.reserve(spike.claim())).to.deep.equal({ kind: 'not_ready' })
    expect(await spike.stock()).to.equal('5')
  })

  const refusals = [
    ['not ready while a rebuild has closed the gate', 'closed', 'not_ready'],
    ['paused while the sale is paused', 'paused', 'paused'],
    ['ended once the sale was ended by hand', 'ended', 'ended'],
  ] as const
  for (const [promise, status, kind] of refusals)
    it(`is ${promise}`, async () => {
      const spike = await ground.open()
      await spike.setStatus(status)
      const { reply, before, after } = await spike.around(() => spike.reserve(spike.claim()))
      expect(reply).to.deep.equal({ kind })
      expect(after).to.deep.equal(before)
    })

  it('tells how long it is until the start, by the time of Redis', async () => {
    const [seconds] = await ground.redis.time()
    const startMs = Number(seconds) * 1_000 + HOUR_MS
    const spike = await ground.open({ startMs, endMs: startMs + HOUR_MS })
    const { reply, before, after } = await spike.around(() => spike.reserve(spike.claim()))
    if (reply instanceof Error || reply.kind !== 'not_started') throw new Error('it should not have started')
    expect(reply.startsInMs).to.be.within(HOUR_MS - 5_000, HOUR_MS)
    expect(after).to.deep.equal(before)
  })

  it('tells how long it is until the start of a paused sale, too', async () => {
    const startMs = Date.now() + HOUR_MS
    const spike = await ground.open({ status: 'paused', startMs, endMs: startMs + HOUR_MS })
    expect(await spike.reserve(spike.claim())).to.have.property('kind', 'not_started')
  })

  it('has ended when the window lies in the past', async () => {
    const now = Date.now()
    const spike = await ground.open({ startMs: now - HOUR_MS, endMs: now - 1_000 })
    expect(await spike.reserve(spike.claim())).to.deep.equal({ kind: 'ended' })
    expect(await spike.stock()).to.equal('10')
  })

  it('allows the limit of a buyer and not one unit more', async () => {
    const spike = await ground.open({ perUserLimit: 3 })
    const tooMany = await spike.around(() => spike.reserve(spike.claim({ quantity: 4 })))
    expect(tooMany.reply).to.deep.equal({ kind: 'quantity_limit', limit: 3 })
    expect(tooMany.after).to.deep.equal(tooMany.before)
    expect(await spike.reserve(spike.claim({ quantity: 3 }))).to.include({ kind: 'accepted' })
  })

  it('says ALL_HELD while an unpaid unit may come back, and SOLD_OUT when all are paid', async () => {
    const spike = await ground.open({ granted: 2 })
    await spike.paid()
    const last = await spike.confirmed()
    const held = await spike.around(() => spike.reserve(spike.claim()))
    expect(held.reply).to.deep.equal({ kind: 'all_held' })
    expect(held.after).to.deep.equal(held.before)
    await spike.markPaid(last)
    expect(await spike.reserve(spike.claim())).to.deep.equal({ kind: 'sold_out' })
  })

  it('says SOLD_OUT to who wants more units than could ever come back', async () => {
    const spike = await ground.open({ granted: 3, perUserLimit: 3 })
    await spike.paid({ quantity: 2 })
    expect(await spike.reserve(spike.claim({ quantity: 2 }))).to.deep.equal({ kind: 'sold_out' })
    expect(await spike.reserve(spike.claim({ quantity: 1 }))).to.include({ kind: 'accepted' })
  })

  it('never sells below zero: two units are not given when one is left', async () => {
    const spike = await ground.open({ granted: 1, perUserLimit: 2 })
    const { reply, before, after } = await spike.around(() => spike.reserve(spike.claim({ quantity: 2 })))
    expect(reply).to.deep.equal({ kind: 'sold_out' })
    expect(after).to.deep.equal(before)
  })

  for (const lapseLimit of [0, 1, 2])
    it(`lets a buyer try again after ${lapseLimit} lapses and not after ${lapseLimit + 1}`, async () => {
      const spike = await ground.open({ lapseLimit })
      const userId = uuidv7()
      for (let lapse = 0; lapse <= lapseLimit; lapse++) await spike.released({ userId }, 'lapsed')
      const { reply, before, after } = await spike.around(() => spike.reserve(spike.claim({ userId })))
      expect(reply).to.deep.equal({ kind: 'lapse_limit' })
      expect(after).to.deep.equal(before)
      expect(await spike.reserve(spike.claim()), 'another buyer').to.include({ kind: 'accepted' })
    })
})
