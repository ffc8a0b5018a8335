import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { serverOf } from '../../src/platform/redis/server.ts'
import { nextKeys } from '../../src/reserve/keys.ts'
import { stageState } from '../../src/reserve/rebuilding.ts'
import type { SwapInput } from '../../src/reserve/scripts.ts'
import { expectNothingChanged, openSpikeRedis, type Spike, type SpikeRedis } from '../support/spike-redis.ts'

describe('swap.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  /** As if all that is there had been gathered, unless something else is said. */
  const swap = async (spike: Spike, input: Partial<SwapInput> = {}) => {
    const { holders, states } = nextKeys(spike.id, 2)
    return ground.scripts.swap({
      eventId: spike.id,
      epoch: 2,
      startMs: 1_000,
      endMs: 2_000,
      granted: 8,
      paid: 1,
      perUserLimit: 2,
      lapseLimit: 3,
      stock: 6,
      staged: { holders: await ground.redis.hlen(holders), records: await ground.redis.hlen(states) },
      ...input,
    })
  }

  async function stage(spike: Spike) {
    const [rid, userId, adjustment] = [uuidv7(), uuidv7(), uuidv7()]
    const record = {
      state: 'paid',
      quantity: 1,
      userId,
      reservedAtMs: 5,
      orderId: uuidv7(),
      expiresAtMs: 9,
    } as const
    await stageState(ground.redis, spike.id, 2, {
      records: new Map([[rid, { ...record, reason: undefined }]]),
      holders: new Map([[userId, rid]]),
      lapses: new Map([[userId, 2]]),
      adjustmentIds: [adjustment],
    })
    return { rid, userId, adjustment, orderId: record.orderId }
  }

  /** As `stage`, without the time limits, which would make two dumps differ. */
  async function stageForEver(spike: Spike) {
    await stage(spike)
    for (const key of Object.values(nextKeys(spike.id, 2))) await ground.redis.persist(key)
  }

  it('puts the gathered state in place of the present one and writes the gate, closed still', async () => {
    const spike = await ground.open()
    const old = await spike.held()
    const next = await stage(spike)
    await spike.setStatus('closed')
    expect(await swap(spike)).to.equal('SWAPPED')
    const { redis } = ground
    expect(await redis.hgetall(spike.keys.gate)).to.deep.equal({
      epoch: '2',
      status: 'closed',
      start_ms: '1000',
      end_ms: '2000',
      granted: '8',
      paid: '1',
      per_user_limit: '2',
      lapse_limit: '3',
      run_id: (await serverOf(ground.redis, spike.keys.gate)).runId,
    })
    expect(await spike.stock()).to.equal('6')
    expect(await redis.hgetall(spike.keys.states)).to.deep.equal({
      [next.rid]: `paid|1|${next.userId}|5||${next.orderId}|9|`,
    })
    expect(await redis.hgetall(spike.keys.holders)).to.deep.equal({ [next.userId]: next.rid })
    expect(await redis.hgetall(spike.keys.lapses)).to.deep.equal({ [next.userId]: '2' })
    expect(await redis.smembers(spike.keys.adjustments)).to.deep.equal([next.adjustment])
    expect(await redis.xlen(spike.keys.log), `the entry of ${old.rid}`).to.equal(1)
    expect(await redis.exists(...Object.values(nextKeys(spike.id, 2)))).to.equal(0)
    const { states, holders, lapses, adjustments } = spike.keys
    for (const key of [states, holders, lapses, adjustments]) expect(await redis.ttl(key), key).to.equal(-1)
  })

  it('leaves nothing of the old state where the new one has nothing', async () => {
    const spike = await ground.open()
    await spike.released({}, 'lapsed')
    await spike.adjust(1)
    await spike.setStatus('closed')
    expect(await swap(spike)).to.equal('SWAPPED')
    const { states, holders, lapses, adjustments } = spike.keys
    expect(await ground.redis.exists(states, holders, lapses, adjustments)).to.equal(0)
  })

  it('makes a gate where Redis has lost it', async () => {
    const spike = ground.blank()
    await stage(spike)
    expect(await swap(spike)).to.equal('SWAPPED')
    expect(await spike.count()).to.include({ granted: 8, stock: 6, paid: 1 })
  })

  for (const lost of ['states', 'holders'] as const)
    it(`changes nothing when Redis has lost the gathered ${lost}`, async () => {
      const spike = await ground.open()
      await stageForEver(spike)
      await spike.setStatus('closed')
      await ground.redis.del(nextKeys(spike.id, 2)[lost])
      const staged = { holders: 1, records: 1 }
      expect(await expectNothingChanged(spike, () => swap(spike, { staged }))).to.equal('LOST')
    })

  it('changes nothing while the gate is not closed', async () => {
    const spike = await ground.open()
    await stageForEver(spike)
    expect(await expectNothingChanged(spike, () => swap(spike))).to.equal('STALE')
  })

  for (const epoch of [2, 10])
    it(`changes nothing for an epoch 2 where epoch ${epoch} is`, async () => {
      const spike = await ground.open({ epoch })
      await stageForEver(spike)
      await spike.setStatus('closed')
      expect(await expectNothingChanged(spike, () => swap(spike))).to.equal('STALE')
    })
})
