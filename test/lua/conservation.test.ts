import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { RELEASE_REASONS } from '../../src/contracts/values.ts'
import { decodeRecord, type UnitRecord } from '../../src/reserve/record.ts'
import { randomOf, type Random } from '../support/random.ts'
import { openSpikeRedis, type Claim, type Spike, type SpikeRedis } from '../support/spike-redis.ts'

const SEQUENCES = 300
const CALLS = 60
const AT_ONCE = 50

/** One call of a random script about a random buyer's claim: an earlier one, or one that Redis never saw. */
async function step(spike: Spike, claims: Claim[], users: readonly string[], random: Random): Promise<void> {
  if (claims.length === 0 || random.chance(0.35))
    claims.push(spike.claim({ userId: random.pick(users), quantity: 1 + random.below(3) }))
  const claim = random.chance(0.3) ? (claims.at(-1) as Claim) : random.pick(claims)
  const call = random.below(20)
  if (call < 9) await spike.reserve(claim)
  else if (call < 11) await spike.markQueued(claim, random.pick(claims))
  else if (call < 14) await spike.confirm(claim)
  else if (call < 16) await spike.markPaid(claim)
  else if (call < 19) await spike.release(claim, random.pick(RELEASE_REASONS))
  else await spike.adjust(random.below(5) - 2, random.chance(0.2) ? claim.rid : uuidv7())
}

async function play(spike: Spike, random: Random): Promise<void> {
  const users = Array.from({ length: 6 }, () => uuidv7())
  const claims: Claim[] = []
  for (let i = 0; i < CALLS; i++) await step(spike, claims, users, random)
}

describe('all scripts together', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  async function expectSound(spike: Spike, seed: number): Promise<void> {
    const counts = await spike.count()
    if (counts === 'NOT_READY') throw new Error('the gate is gone')
    const { granted, stock, held, queued, confirmed, paid } = counts
    expect(stock + held + queued + confirmed + paid, `R + units of live rids, seed ${seed}`).to.equal(granted)
    const states = await ground.redis.hgetall(spike.keys.states)
    const records = new Map(Object.entries(states).map(([rid, text]) => [rid, decodeRecord(text)]))
    await expectHolders(spike, records, seed)
    await expectLog(spike, records, seed)
    expect(
      Number(await ground.redis.hget(spike.keys.gate, 'paid')),
      `paid at the gate, seed ${seed}`,
    ).to.equal(paid)
  }

  /** A holder always is a live claim of that same buyer. */
  async function expectHolders(spike: Spike, records: Map<string, UnitRecord>, seed: number): Promise<void> {
    const holders = await ground.redis.hgetall(spike.keys.holders)
    for (const [userId, rid] of Object.entries(holders)) {
      expect(records.get(rid)?.userId, `buyer of ${rid}, seed ${seed}`).to.equal(userId)
      expect(records.get(rid)?.state, `state of ${rid}, seed ${seed}`).not.to.equal('released')
    }
  }

  /** The log has exactly the rids without a verdict. */
  async function expectLog(spike: Spike, records: Map<string, UnitRecord>, seed: number): Promise<void> {
    const log = await ground.redis.xrange(spike.keys.log, '-', '+')
    const open = [...records].filter(([, { state }]) => state === 'held' || state === 'queued')
    expect(log.map(([, fields]) => fields?.[1]).sort(), `log, seed ${seed}`).to.deep.equal(
      open.map(([rid]) => rid).sort(),
    )
  }

  it(`keep every unit accounted for through ${SEQUENCES} random sequences of calls`, async () => {
    for (let first = 0; first < SEQUENCES; first += AT_ONCE)
      await Promise.all(
        Array.from({ length: AT_ONCE }, async (_, i) => {
          const random = randomOf(first + i)
          const limits = { perUserLimit: 3, lapseLimit: random.below(3) }
          const spike = await ground.open({ granted: random.below(12), ...limits })
          await play(spike, random)
          await expectSound(spike, first + i)
        }),
      )
  })
})
