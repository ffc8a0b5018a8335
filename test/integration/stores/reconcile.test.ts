import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { readConservation } from '../../../src/conservation.ts'
import { judgeStores } from '../../../src/figures/invariants.ts'
import type { RebuildDependencies } from '../../../src/rebuild.ts'
import { examineEvent, lastingOf, tallyOf, type Finding, type Tally } from '../../../src/reconcile.ts'
import { repairFindings, repairSale } from '../../../src/repair.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { adjustSale } from '../../../src/sale.ts'
import { createSale } from '../../factories/sales.ts'
import {
  captureOf,
  decideClaims,
  lapse,
  orderUnits,
  receiveClaims,
  reserveUnits,
  settle,
  type Claim,
} from '../../support/claims.ts'
import { dumpKeys } from '../../support/redis-dump.ts'
import { buyerIds, expectConserved, letLapse, type Ordered } from '../../support/reservations.ts'
import { newRid } from '../../support/rids.ts'
import { stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

interface Busy {
  eventId: string
  confirmed: Ordered
  paid: Ordered
  /** Closed, its unit back. */
  lapsed: Ordered
  /** In the inbox; in Redis only. */
  undecided: Claim
  held: Claim
}

describe('reconciling an event', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  const deps = (): RebuildDependencies => ({ ...world, backlog: async () => 0 })

  /** A sale of 20 units with a claim in every state that lasts. */
  async function busySale(): Promise<Busy> {
    const eventId = await createSale(world, { stock: 20 })
    const [confirmed, paid, lapsed] = (await orderUnits(world, eventId, 3)) as [Ordered, Ordered, Ordered]
    await settle(world, await captureOf(world, paid))
    await lapse(world, lapsed)
    await world.scripts.release({ ...lapsed, reason: 'lapsed' })
    const [undecided, held] = (await reserveUnits(world, eventId, 2)) as [Claim, Claim]
    await receiveClaims(world, [undecided])
    return { eventId, confirmed, paid, lapsed, undecided, held }
  }

  async function examine(eventId: string): Promise<{ drift: number | null; findings: Finding[] }> {
    const examination = await examineEvent(deps(), eventId)
    if (examination.kind !== 'examined') throw new Error(examination.kind)
    return examination
  }

  /** Two looks, and a repair of what lasts. */
  async function repair(eventId: string) {
    const first = await examine(eventId)
    const second = await examine(eventId)
    const findings = lastingOf(first.findings, second.findings)
    return repairFindings(deps(), eventId, { drift: second.drift, findings }, SYSTEM)
  }

  async function expectSound(eventId: string): Promise<void> {
    const facts = await readConservation(world, eventId)
    expect(facts && judgeStores(facts).filter(({ ok }) => !ok), 'broken invariants').to.deep.equal([])
    const { drift, findings } = await examine(eventId)
    expect({ drift, findings }).to.deep.equal({ drift: 0, findings: [] })
  }

  const epochOf = (eventId: string) => world.redis.hget(spikeKeys(eventId).gate, 'epoch')
  const repairsOf = (eventId: string) =>
    world.knex('audit_log').where({ target: eventId, action: 'spike-event.repair' })

  it('finds nothing in a sale with claims in every state, and changes nothing', async () => {
    const { eventId } = await busySale()
    const before = await stateOf(world, eventId)
    const { findings, repaired, rebuilt, drift } = await repair(eventId)
    expect({ findings, repaired, rebuilt, drift }).to.deep.equal({
      findings: [],
      repaired: {},
      rebuilt: false,
      drift: 0,
    })
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  describe('repairs by the rid:', () => {
    const faults: [string, Tally, (sale: Busy) => Promise<unknown>][] = [
      [
        'an order of which Redis was not told',
        { unconfirmed: 1 },
        ({ undecided }) => decideClaims(world, [undecided]),
      ],
      [
        'an order of a reservation that Redis has lost, paid meanwhile',
        { unconfirmed: 1 },
        async ({ eventId }) => {
          const keys = spikeKeys(eventId)
          const copy = await Promise.all(Object.values(keys).map((key) => world.redis.dumpBuffer(key)))
          const [lost] = (await orderUnits(world, eventId, 1)) as [Ordered]
          await settle(world, await captureOf(world, lost))
          await restore(Object.values(keys), copy)
        },
      ],
      [
        'a payment of which Redis was not told',
        { unpaid: 1 },
        async ({ confirmed, eventId }) => {
          const record = await world.redis.hget(spikeKeys(eventId).states, confirmed.rid)
          await settle(world, await captureOf(world, confirmed))
          await world.redis.hset(spikeKeys(eventId).states, confirmed.rid, record ?? '')
          await world.redis.hincrby(spikeKeys(eventId).gate, 'paid', -1)
        },
      ],
      [
        'a closed order whose unit Redis holds still',
        { unreleased: 1 },
        ({ confirmed }) => lapse(world, confirmed),
      ],
      [
        'a void reservation whose unit Redis holds still',
        { unreleased: 1 },
        async ({ held }) => {
          await world.knex('users').where({ id: held.userId }).update({ disabled: true })
          await decideClaims(world, [held])
        },
      ],
      [
        'a buyer whose claim Redis does not know any more',
        { unheld: 2 },
        async ({ eventId, confirmed, paid }) => {
          await world.redis.hdel(spikeKeys(eventId).holders, confirmed.userId)
          await world.redis.hset(spikeKeys(eventId).holders, paid.userId, newRid(eventId))
        },
      ],
      [
        'a buyer who is barred by a claim that is gone',
        { barred: 1 },
        ({ eventId, lapsed }) => world.redis.hset(spikeKeys(eventId).holders, lapsed.userId, lapsed.rid),
      ],
    ]
    for (const [what, expected, plant] of faults)
      it(what, async () => {
        const sale = await busySale()
        await plant(sale)
        const { findings, repaired, rebuilt } = await repair(sale.eventId)
        expect(tallyOf(findings)).to.deep.equal(expected)
        expect({ repaired, rebuilt }).to.deep.equal({ repaired: expected, rebuilt: false })
        expect(await epochOf(sale.eventId)).to.equal('1')
        await expectSound(sale.eventId)
        expect(await repair(sale.eventId)).to.deep.include({ repaired: {}, rebuilt: false })
        expect(await repairsOf(sale.eventId)).to.have.length(1)
      })
  })

  describe('rebuilds the event for', () => {
    const faults: [string, Tally, (sale: Busy) => Promise<unknown>][] = [
      [
        'a record of an order that somebody has deleted',
        { unconfirmed: 1, miscounted: 1 },
        ({ eventId, confirmed }) => world.redis.hdel(spikeKeys(eventId).states, confirmed.rid),
      ],
      [
        'a record of a reservation in flight that somebody has deleted',
        { stranded: 1, miscounted: 1 },
        ({ eventId, held }) => world.redis.hdel(spikeKeys(eventId).states, held.rid),
      ],
      [
        'a buyer who is held by a rid that nobody knows',
        { stranded: 1 },
        async ({ eventId }) => {
          const [userId = ''] = await buyerIds(world, 1)
          await world.redis.hset(spikeKeys(eventId).holders, userId, newRid(eventId))
        },
      ],
      [
        'a live claim that was released',
        { released_alive: 1 },
        ({ confirmed }) => world.scripts.release({ ...confirmed, reason: 'lapsed' }),
      ],
      [
        'an order that PostgreSQL never made',
        { unfounded: 1 },
        async ({ held }) =>
          world.scripts.confirm([
            { eventId: held.eventId, orders: [{ ...held, orderId: held.rid, expiresAtMs: 1 }] },
          ]),
      ],
      ['a unit too many', { miscounted: 1 }, ({ eventId }) => world.redis.incr(spikeKeys(eventId).stock)],
      [
        'two units too few',
        { miscounted: 1 },
        ({ eventId }) => world.redis.decrby(spikeKeys(eventId).stock, 2),
      ],
      [
        'an adjustment of the stock that Redis has forgotten',
        { misgranted: 1 },
        async ({ eventId }) => {
          await adjustSale(world, eventId, { delta: 5, reason: 'test' }, SYSTEM)
          const { gate, stock, adjustments } = spikeKeys(eventId)
          await world.redis.hincrby(gate, 'granted', -5)
          await world.redis.decrby(stock, 5)
          await world.redis.unlink(adjustments)
        },
      ],
      ['a stock that is gone', { lost: 1 }, ({ eventId }) => world.redis.del(spikeKeys(eventId).stock)],
      [
        'everything gone but the log',
        { lost: 1 },
        ({ eventId }) => {
          const { log: _, ...others } = spikeKeys(eventId)
          return world.redis.unlink(...Object.values(others))
        },
      ],
      [
        'another run of Redis',
        { lost: 1 },
        ({ eventId }) => world.redis.hset(spikeKeys(eventId).gate, 'run_id', 'another'),
      ],
    ]
    for (const [what, expected, plant] of faults)
      it(what, async () => {
        const sale = await busySale()
        await plant(sale)
        const { findings, repaired, rebuilt } = await repair(sale.eventId)
        expect(tallyOf(findings)).to.deep.equal(expected)
        expect({ repaired, rebuilt }).to.deep.equal({ repaired: {}, rebuilt: true })
        expect(await epochOf(sale.eventId)).to.equal('2')
        await expectSound(sale.eventId)
        // What was in flight goes on: nobody's unit is lost, and nobody is barred.
        for (const verdict of await decideClaims(world, [sale.undecided, sale.held]))
          if (verdict.kind === 'ordered')
            await world.scripts.confirm([{ eventId: verdict.eventId, orders: [verdict] }])
        expect(await world.scripts.countUnits({ eventId: sale.eventId })).to.include({
          confirmed: 3,
          paid: 1,
        })
        await expectSound(sale.eventId)
      })
  })

  it('does not stop Redis to count while buyers buy', async () => {
    const eventId = await createSale(world, { stock: 200 })
    const scripts = {
      ...world.scripts,
      countUnits: () => Promise.reject(new Error('all was counted at one moment')),
    }
    const sale = { left: 200 }
    const buying = (async () => {
      while (sale.left > 0) sale.left -= (await reserveUnits(world, eventId, 5)).length
    })()
    let looks = 0
    for (; sale.left > 0; looks++)
      expect(await examineEvent({ ...deps(), scripts }, eventId)).to.include({ kind: 'examined' })
    await buying
    expect(looks).to.be.above(1)
  })

  const restore = async (keys: readonly string[], copy: readonly (Buffer | null)[]) => {
    const pipeline = world.redis.multi().unlink(...keys)
    keys.forEach((key, i) => {
      const dump = copy[i]
      if (dump) pipeline.restore(key, 0, dump)
    })
    await pipeline.exec()
  }

  it('brings a Redis that has lost its last second after PostgreSQL, rid by rid, and bars nobody', async () => {
    const { eventId, confirmed, paid, held, undecided } = await busySale()
    const [cancelled] = (await orderUnits(world, eventId, 1)) as [Ordered]
    const keys = Object.values(spikeKeys(eventId))
    const copy = await Promise.all(keys.map((key) => world.redis.dumpBuffer(key)))
    // All of this is forgotten: confirmed, paid, released, taken anew by the same buyer, taken and only in the broker.
    for (const verdict of await decideClaims(world, [held, undecided]))
      if (verdict.kind === 'ordered') await world.scripts.confirm([{ eventId, orders: [verdict] }])
    await settle(world, await captureOf(world, confirmed))
    await lapse(world, cancelled)
    await world.scripts.release({ ...cancelled, reason: 'lapsed' })
    const again = { ...cancelled, rid: newRid(eventId) }
    await world.scripts.reserve({ ...again, requestId: 'test' })
    for (const verdict of await decideClaims(world, [again]))
      if (verdict.kind === 'ordered') await world.scripts.confirm([{ eventId, orders: [verdict] }])
    await orderUnits(world, eventId, 4)
    const [inBroker, unsent] = (await reserveUnits(world, eventId, 2)) as [Claim, Claim]
    await restore(keys, copy)

    expect(tallyOf((await repair(eventId)).findings)).to.deep.equal({
      unconfirmed: 7,
      unpaid: 1,
      unreleased: 1,
    })
    await expectSound(eventId)
    expect(await epochOf(eventId)).to.equal('1')
    // The broker delivers; the reservation that nobody was ever told of is forgotten, and its buyer is free.
    const [late] = await decideClaims(world, [inBroker])
    expect(late?.kind).to.equal('ordered')
    expect((await repair(eventId)).repaired).to.deep.equal({ unconfirmed: 1 })
    const fresh = { ...unsent, rid: newRid(eventId), requestId: 'test' }
    expect(await world.scripts.reserve(fresh)).to.include({ kind: 'accepted' })
    const holders = await world.redis.hmget(spikeKeys(eventId).holders, again.userId, paid.userId)
    expect(holders).to.deep.equal([again.rid, paid.rid])
    await expectSound(eventId)
    expect(await expectConserved(world.knex, eventId)).to.equal(10)
  })

  it('only reports in a dry run: after two looks, what lasts', async () => {
    const { eventId, confirmed } = await busySale()
    await lapse(world, confirmed)
    await world.redis.incr(spikeKeys(eventId).stock)
    const before = await stateOf(world, eventId)
    const result = await repairSale(deps(), eventId, { dryRun: true }, SYSTEM)
    if (result.kind !== 'done') throw new Error(result.kind)
    expect(tallyOf(result.findings)).to.deep.equal({ unreleased: 1, miscounted: 1 })
    expect(result).to.deep.include({ repaired: {}, rebuilt: false, drift: -1 })
    expect(await stateOf(world, eventId)).to.deep.equal(before)
  })

  it('leaves a row in the audit log of who has repaired what', async () => {
    const { eventId, confirmed, undecided } = await busySale()
    await lapse(world, confirmed)
    await decideClaims(world, [undecided])
    const [adminId = ''] = await buyerIds(world, 1)
    await repairSale(deps(), eventId, { dryRun: false }, { userId: adminId, requestId: 'request-1' })
    const [row, ...others] = await repairsOf(eventId)
    expect(others).to.deep.equal([])
    expect(row).to.deep.include({
      actor_id: adminId,
      request_id: 'request-1',
      before: { drift: 0, findings: { unreleased: 1, unconfirmed: 1 } },
      after: { repaired: { unreleased: 1, unconfirmed: 1 }, rebuilt: false },
    })
  })

  it('repairs once when many repair at the same time, by rid and by a rebuild', async () => {
    const { eventId, confirmed } = await busySale()
    await lapse(world, confirmed)
    await Promise.all(Array.from({ length: 4 }, () => repair(eventId)))
    expect(await repairsOf(eventId)).to.have.length(1)
    await world.redis.incr(spikeKeys(eventId).stock)
    await Promise.all(Array.from({ length: 4 }, () => repair(eventId)))
    expect(await epochOf(eventId)).to.equal('2')
    await expectSound(eventId)
  })

  it('keeps its hands off a sale that runs, however often it looks, and off what is in flight', async () => {
    const eventId = await createSale(world, { stock: 60 })
    const sale = { isOver: false }
    const buyers = (await buyerIds(world, 90)).map(async (userId, i) => {
      const claim = { eventId, rid: newRid(eventId), userId, quantity: 1 }
      if ((await world.scripts.reserve({ ...claim, requestId: 'test' })).kind !== 'accepted') return
      const [verdict] = await decideClaims(world, [claim])
      if (verdict?.kind !== 'ordered') return
      await world.scripts.confirm([{ eventId, orders: [verdict] }])
      if (i % 3 === 0) await settle(world, await captureOf(world, verdict))
      if (i % 3 !== 1) return
      await letLapse(world.knex, [verdict.orderId])
      await lapse(world, verdict)
      await world.scripts.release({ ...verdict, reason: 'lapsed' })
    })
    const reconcilers = Array.from({ length: 2 }, async () => {
      let looks = 0
      for (; !sale.isOver; looks++) await repair(eventId)
      return looks
    })
    await Promise.all(buyers)
    sale.isOver = true
    const [looks = 0] = await Promise.all(reconcilers)
    expect(looks).to.be.at.least(1)
    expect(await epochOf(eventId)).to.equal('1')
    await expectSound(eventId)
    const { stock } = (await world.scripts.countUnits({ eventId })) as { stock: number }
    expect(stock).to.equal(await expectConserved(world.knex, eventId))
  })

  // Last: from here on they repair whatever is wrong.
  describe('in running workers', () => {
    it('happens by itself', async () => {
      const { eventId, confirmed, lapsed, paid } = await busySale()
      await world.redis.hdel(spikeKeys(eventId).holders, paid.userId)
      await world.redis.hset(spikeKeys(eventId).holders, lapsed.userId, lapsed.rid)
      await world.scripts.release({ ...confirmed, reason: 'lapsed' })
      await world.start('workers')
      await until('no drift', async () => (await examine(eventId)).findings.length === 0, 60_000)
      expect(await world.redis.hget(spikeKeys(eventId).holders, paid.userId)).to.equal(paid.rid)
      expect(await world.redis.hexists(spikeKeys(eventId).holders, lapsed.userId)).to.equal(0)
      const row = await until('the audit row', () => repairsOf(eventId).first())
      expect(row).to.deep.include({ actor_id: null, after: { repaired: {}, rebuilt: true } })
      expect(Object.keys(await dumpKeys(world.redis, `{spike:${eventId}}:*:next*`))).to.deep.equal([])
    }).timeout(90_000)
  })
})
