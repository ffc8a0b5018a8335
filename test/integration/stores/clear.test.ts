import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { clearEvent } from '../../../src/clear.ts'
import { readConservation } from '../../../src/conservation.ts'
import { debtOf, standingsOf } from '../../../src/dead-letters/debts.ts'
import { judgeStores } from '../../../src/figures/invariants.ts'
import { presentReport } from '../../../src/figures/present-sale.ts'
import { lookUp } from '../../../src/look-up.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { forgetPublished } from '../../../src/orders/outbox.ts'
import { orderTimeline } from '../../../src/orders/timeline.ts'
import { rebuildSale } from '../../../src/rebuild.ts'
import { examineEvent } from '../../../src/reconcile.ts'
import { repairSale } from '../../../src/repair.ts'
import { readReport } from '../../../src/report.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { followEvent, resumeSale, underGateLock } from '../../../src/sale.ts'
import { readBooks, readGateFigures } from '../../../src/snapshot.ts'
import { endedEventIds } from '../../../src/spike-events/model.ts'
import { Tracker } from '../../../src/track.ts'
import { releaseStockHandler } from '../../../workers/release-stock/handler.ts'
import { createSale } from '../../factories/sales.ts'
import { orderUnits, reserveUnits, settle } from '../../support/claims.ts'
import { lookUpDependencies, one, words } from '../../support/looking-up.ts'
import { accepted, buyerIds, expectConserved } from '../../support/reservations.ts'
import { letAge, settledSale, type SettledSale } from '../../support/settled.ts'
import { createWorld, type World } from '../../support/world.ts'

const DAYS = 30

describe('an event that is over for good', () => {
  let world: World
  let sale: SettledSale
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())
  beforeEach(async () => {
    sale = await settledSale(world)
  })

  const clear = () => clearEvent(world, sale.eventId)
  const rebuildDeps = () => ({ ...world, backlog: async () => 0 })
  const bigKeys = () => {
    const { holders, states, lapses, log, adjustments } = spikeKeys(sale.eventId)
    return world.redis.exists(holders, states, lapses, log, adjustments)
  }
  async function reportOf(eventId: string) {
    const report = await readReport(world, eventId)
    if (report === undefined) throw new Error('no report')
    const { event, conservation, ...figures } = presentReport(report)
    const { server_time: _time, ...lasting } = event
    const { as_of: _asOf, ...facts } = conservation
    return { event: lasting, conservation: facts, ...figures }
  }
  /** Clears the event and deletes the rows of the outbox, as the days do. */
  async function tidy() {
    await letAge(world, sale.eventId, DAYS + 1)
    expect(await forgetPublished(world.knex, DAYS)).to.be.at.least(3)
    expect(await clear()).to.deep.equal({ kind: 'cleared' })
    expect(await bigKeys()).to.equal(0)
  }

  it('is told from others by the days since its end', async () => {
    const page = { days: DAYS, limit: 1_000, after: undefined }
    expect(await endedEventIds(world.knex, page)).to.not.include(sale.eventId)
    await letAge(world, sale.eventId, DAYS + 1)
    expect(await endedEventIds(world.knex, page)).to.include(sale.eventId)
    const [first = ''] = await endedEventIds(world.knex, { ...page, limit: 1 })
    expect(await endedEventIds(world.knex, { ...page, after: first })).to.not.include(first)
  })

  it('is cleared once', async () => {
    const kinds = (await Promise.all([clear(), clear(), clear()])).map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'cleared')).to.have.length(1)
    for (const kind of kinds) expect(kind).to.be.oneOf(['cleared', 'busy', 'nothing'])
    expect(await clear()).to.deep.equal({ kind: 'nothing' })
  })

  it('has the same report, the same invariants and no finding afterwards', async () => {
    const before = await reportOf(sale.eventId)
    expect(before.conservation.redis).to.include({ stock: 0, paid: 1, released: 2 })
    expect(before.course?.points.at(-1)).to.include({ free: 3 })
    await tidy()
    expect(await reportOf(sale.eventId)).to.deep.equal(before)
    const facts = await readConservation(world, sale.eventId)
    if (facts === undefined) throw new Error('no facts')
    expect(judgeStores(facts).filter(({ ok }) => !ok)).to.deep.equal([])
    expect(await expectConserved(world.knex, sale.eventId)).to.equal(0)
    expect(await examineEvent(world, sale.eventId)).to.deep.equal({
      kind: 'examined',
      drift: 0,
      findings: [],
    })
    expect(await repairSale(rebuildDeps(), sale.eventId, { dryRun: false }, SYSTEM)).to.deep.include({
      findings: [],
      repaired: {},
      rebuilt: false,
    })
    expect(await readBooks(world, sale.eventId)).to.deep.include({
      meter: { granted: 1, free: 0, held: 0, pending: 0, paid: 1, releasing: 0, drift: 0 },
      oldest: null,
      findings: [],
    })
  })

  it('has lost nothing when Redis has started anew since', async () => {
    await tidy()
    await world.redis.hset(spikeKeys(sale.eventId).gate, 'run_id', 'another')
    expect(await examineEvent(world, sale.eventId)).to.deep.equal({
      kind: 'examined',
      drift: 0,
      findings: [],
    })
    expect(await readGateFigures(world, sale.eventId)).to.include({ lost: false, paid: 1 })
  })

  it('has ended for whoever buys, also for those who have bought', async () => {
    await tidy()
    const [stranger] = (await buyerIds(world, 1)) as [string]
    for (const userId of [stranger, sale.paid.userId, sale.lapsed.userId]) {
      const input = { eventId: sale.eventId, rid: sale.voided.rid, userId, quantity: 1, requestId: 'test' }
      expect(await world.scripts.reserve(input)).to.deep.equal({ kind: 'ended' })
    }
    expect((await resumeSale(world, sale.eventId, SYSTEM)).kind).to.equal('wrong_state')
  })

  it('tells every buyer what it told them before', async () => {
    const tracker = new Tracker({ ...world, backlog: async () => 0 })
    const told = async () => {
      const claims = [sale.paid, sale.lapsed, sale.voided]
      const found = await Promise.all(claims.map(({ rid, userId }) => tracker.find(rid, userId)))
      // The test has moved the deadline in PostgreSQL alone.
      return found.map((tracking) => ({ status: undefined, ...tracking, expiresAtMs: undefined }))
    }
    const before = await told()
    expect(before.map(({ status }) => status)).to.deep.equal(['ordered', 'ordered', 'void'])
    const { orderId, userId } = sale.lapsed
    const timeline = await orderTimeline(world.knex, orderId, userId)
    await tidy()
    expect(await told()).to.deep.equal(before)
    expect(await orderTimeline(world.knex, orderId, userId)).to.deep.equal(timeline)
  })

  it('is looked up as before, but for its messages', async () => {
    const { deps, close } = lookUpDependencies(world)
    try {
      const before = one(await lookUp(deps, sale.lapsed.rid))
      await tidy()
      const found = one(await lookUp(deps, sale.lapsed.rid))
      expect(found.standing).to.deep.equal(before.standing)
      expect(words(found)).to.deep.equal(words(before).filter((word) => !/told|published/.test(word)))
      expect(found.reservations).to.deep.equal([{ rid: sale.lapsed.rid, record: undefined }])
    } finally {
      await close()
    }
  })

  it('sends late money back', async () => {
    await tidy()
    expect(await settle(world, sale.lateMoney)).to.equal('refund_opened')
    expect(await settle(world, sale.lateMoney)).to.equal('seen_before')
    expect(await clear()).to.deep.equal({ kind: 'nothing' })
    expect(await expectConserved(world.knex, sale.eventId)).to.equal(0)
  })

  it('acts on no message that is put back weeks later', async () => {
    await tidy()
    const before = await reportOf(sale.eventId)
    const told = await world.knex('outbox').max('id')
    const { eventId, paid, lapsed, voided } = sale
    for (const { rid, userId } of [paid, lapsed, voided]) {
      expect(await receiveReservations(world.knex, [accepted(eventId, userId, { rid })])).to.equal(0)
      for (const verdict of await decideReservations(world.knex, [rid]))
        if (verdict.kind === 'ordered' && verdict.live) {
          expect(
            await world.scripts.confirm([{ eventId: verdict.eventId, orders: [verdict] }]),
          ).to.deep.equal([['UNCHANGED']])
          expect(await world.scripts.markPaid(verdict)).to.equal('UNCHANGED')
        }
      await releaseStockHandler(world)({ rid })
    }
    expect(await bigKeys()).to.equal(0)
    expect(await world.knex('outbox').max('id')).to.deep.equal(told)
    expect(await reportOf(eventId)).to.deep.equal(before)
  })

  it('owes nothing to a dead letter about a release', async () => {
    const letter = { source: 'job', origin: 'release-stock', payload: { rid: sale.lapsed.rid } } as never
    const debt = debtOf(letter, world as never)
    expect(await standingsOf(world, [debt])).to.deep.equal(['settled'])
    await tidy()
    expect(await standingsOf(world, [debt])).to.deep.equal(['settled'])
    await world.redis.hdel(spikeKeys(sale.eventId).gate, 'cleared_ms')
    expect(await standingsOf(world, [debt])).to.deep.equal(['open'])
  })

  it('is there again in full after a rebuild, and may be cleared again', async () => {
    const before = await reportOf(sale.eventId)
    await tidy()
    expect((await rebuildSale(rebuildDeps(), sale.eventId, SYSTEM)).kind).to.equal('done')
    expect(await examineEvent(world, sale.eventId)).to.deep.equal({
      kind: 'examined',
      drift: 0,
      findings: [],
    })
    const keys = spikeKeys(sale.eventId)
    expect(await world.redis.hget(keys.holders, sale.paid.userId)).to.equal(sale.paid.rid)
    expect(await world.redis.hget(keys.gate, 'status')).to.equal('ended')
    await followEvent(world, sale.eventId)
    expect(await clear()).to.deep.equal({ kind: 'cleared' })
    // A rebuild brings no records of voids back, which had no order.
    const { epoch, actions, conservation, ...figures } = await reportOf(sale.eventId)
    expect({ epoch, actions }).to.deep.equal({ epoch: 2, actions: { ...before.actions, rebuild: 1 } })
    expect(conservation.invariants).to.deep.equal(before.conservation.invariants)
    expect(figures).to.deep.include({ orders: before.orders, units: before.units, course: before.course })
  })

  const unsettled: [string, () => Promise<unknown>][] = [
    [
      'an order may still be paid',
      () => change('orders', { id: sale.paid.orderId }, { status: 'pending', paid_at: null }),
    ],
    [
      'a reservation waits for its verdict',
      () => receiveReservations(world.knex, [accepted(sale.eventId, sale.paid.userId)]),
    ],
    [
      'units have not gone back to the inventory',
      () => change('spike_events', { id: sale.eventId }, { available: 1, granted: 2 }),
    ],
    [
      'a row of its stock ledger is not in Redis',
      () => change('spike_event_adjustments', { event_id: sale.eventId }, { applied_at: null }),
    ],
    ['Redis holds a unit', () => hold('held')],
    ['Redis holds a unit that the broker has', () => hold('queued')],
    ['its log has an entry', () => world.redis.xadd(spikeKeys(sale.eventId).log, '*', 'rid', 'any')],
    [
      'a rebuild has closed its gate',
      () => world.scripts.setStatus({ eventId: sale.eventId, status: 'closed' }),
    ],
  ]
  const change = (table: string, where: object, to: object) => world.knex(table).where(where).update(to)
  const hold = (state: string) =>
    world.redis.hset(
      spikeKeys(sale.eventId).states,
      sale.voided.rid,
      `${state}|1|${sale.voided.userId}|1||||`,
    )
  for (const [why, make] of unsettled)
    it(`is kept while ${why}`, async () => {
      await make()
      const before = await bigKeys()
      expect(await clear()).to.deep.equal({ kind: 'unsettled' })
      expect(await bigKeys()).to.equal(before)
    })

  it('is kept while it is on sale, with a live claim in it', async () => {
    const eventId = await createSale(world)
    await orderUnits(world, eventId, 1)
    await reserveUnits(world, eventId, 1)
    expect(await clearEvent(world, eventId)).to.deep.equal({ kind: 'unsettled' })
    await world.redis.unlink(...Object.values(spikeKeys(eventId)))
    expect(await clearEvent(world, eventId)).to.deep.equal({ kind: 'nothing' })
  })

  const disagreed: [string, object, () => Promise<unknown>][] = [
    [
      'a record is lost',
      { unconfirmed: 1, miscounted: 1 },
      () => world.redis.hdel(spikeKeys(sale.eventId).states, sale.paid.rid),
    ],
    ['a unit is miscounted', { miscounted: 1 }, () => world.redis.incr(spikeKeys(sale.eventId).stock)],
    [
      'the stock ledger has other units',
      { misgranted: 1, miscounted: 1 },
      () => world.redis.hincrby(spikeKeys(sale.eventId).gate, 'granted', 1),
    ],
  ]
  for (const [what, findings, make] of disagreed)
    it(`is kept when ${what}, until it is repaired`, async () => {
      await make()
      expect(await clear()).to.deep.equal({ kind: 'disagreed', findings })
      await repairSale(rebuildDeps(), sale.eventId, { dryRun: false }, SYSTEM)
      expect(await clear()).to.deep.equal({ kind: 'cleared' })
    })

  it('is left alone while somebody else changes its gate', async () => {
    await underGateLock(world.knex, sale.eventId, async () => {
      expect(await clear()).to.deep.equal({ kind: 'busy' })
    })
  })
})
