import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { readConservation } from '../../../src/conservation.ts'
import { judgeStores, type Facts } from '../../../src/figures/invariants.ts'
import { newRid } from '../../support/rids.ts'
import { adjustSale } from '../../../src/sale.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
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
import type { Ordered } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the conservation of a sale', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  async function factsOf(eventId: string): Promise<Facts> {
    const facts = await readConservation(world, eventId)
    if (facts === undefined) throw new Error(`no event ${eventId}`)
    return facts
  }

  /** The numbers of the invariants that do not hold. */
  function broken(facts: Facts): number[] {
    return judgeStores(facts)
      .filter(({ ok }) => !ok)
      .map(({ name }) => Number(name.split(' ')[0]))
  }

  async function expectSound(eventId: string): Promise<Facts> {
    const facts = await factsOf(eventId)
    expect(
      judgeStores(facts).filter(({ ok }) => !ok),
      'broken invariants',
    ).to.deep.equal([])
    return facts
  }

  it('is undefined for an event that nobody made, and nothing but zeros for a draft', async () => {
    expect(await readConservation(world, newRid('00000000-0000-0000-0000-000000000000'))).to.equal(undefined)
    const facts = await expectSound(await createDraft(world))
    expect(facts).to.deep.include({ redis: 'NOT_READY', drift: null, inFlight: 0, pendingReleases: 0 })
    expect(facts.ledger).to.deep.include({ granted: 0, available: 0, live: 0, ordered: 0, ledger: 0 })
  })

  it('counts units wherever they are on their way, and holds at each step', async () => {
    const eventId = await createSale(world, { stock: 20 })
    await reserveUnits(world, eventId, 1) // in the broker
    await receiveClaims(world, await reserveUnits(world, eventId, 2)) // in the inbox
    await orderUnits(world, eventId, 3)
    const [paid, lapsed, released] = (await orderUnits(world, eventId, 3)) as [Ordered, Ordered, Ordered]
    await settle(world, await captureOf(world, paid))
    await lapse(world, lapsed, released)
    await world.scripts.release({ ...released, reason: 'lapsed' })
    const facts = await expectSound(eventId)
    expect(facts.ledger).to.deep.include({
      granted: 20,
      available: 16,
      live: 4,
      pending: 3,
      paid: 1,
      ordered: 6,
      lapsed: 2,
      reservations: { undecided: 2, ordered: 6, void: 0 },
    })
    expect(facts.redis).to.deep.equal({
      granted: 20,
      stock: 12,
      held: 3,
      queued: 0,
      confirmed: 4,
      paid: 1,
      released: 1,
    })
    expect(facts).to.deep.include({ inFlight: 3, pendingReleases: 1, drift: 0 })
  })

  it('counts a void unit as on its way back until Redis has it', async () => {
    const eventId = await createSale(world, { stock: 5 })
    const [claim] = (await reserveUnits(world, eventId, 1)) as [Claim]
    await world.knex('users').where({ id: claim.userId }).update({ disabled: true })
    expect(await decideClaims(world, [claim])).to.deep.equal([
      { kind: 'void', rid: claim.rid, reason: 'unknown_buyer' },
    ])
    expect(await expectSound(eventId)).to.deep.include({ inFlight: 0, pendingReleases: 1, drift: 0 })
    await world.scripts.release({ ...claim, reason: 'unknown_buyer' })
    expect(await expectSound(eventId)).to.deep.include({ inFlight: 0, pendingReleases: 0, drift: 0 })
  })

  it('takes the claim for the owner of a unit when late money has bought it again', async () => {
    const eventId = await createSale(world, { stock: 5 })
    const [late] = (await orderUnits(world, eventId, 1)) as [Ordered]
    const callback = await captureOf(world, late)
    await lapse(world, late)
    expect(await settle(world, callback)).to.equal('paid_late')
    const { reservation_id: rid } = await world
      .knex('spike_orders')
      .where({ order_id: late.orderId, live: true })
      .first('reservation_id')
    expect(rid).to.not.equal(late.rid)
    await world.scripts.confirm([{ eventId, orders: [{ ...late, rid }] }])
    await world.scripts.markPaid({ eventId, rid })
    const facts = await expectSound(eventId)
    expect(facts.ledger).to.deep.include({ live: 1, paid: 1, pending: 0, ordered: 2, available: 4 })
    expect(facts, 'the first claim is not given back yet').to.deep.include({ pendingReleases: 1, drift: 0 })
    await world.scripts.release({ ...late, reason: 'lapsed' })
    expect(await expectSound(eventId)).to.deep.include({ pendingReleases: 0, drift: 0 })
  })

  it('follows units that are added to a sale and cut from it', async () => {
    const eventId = await createSale(world, { stock: 5 })
    await orderUnits(world, eventId, 2)
    for (const delta of [4, -6]) await adjustSale(world, eventId, { delta, reason: 'test' }, SYSTEM)
    const { ledger, redis } = await expectSound(eventId)
    expect(ledger).to.deep.include({ granted: 3, available: 1, live: 2, ledger: 3 })
    expect(redis).to.deep.include({ granted: 3, stock: 1 })
  })

  it('walks over many thousand reservations', async function () {
    this.timeout(20_000)
    const [count, quantity] = [20_000, 3]
    const eventId = await createSale(world, { stock: 10 })
    const key = `{spike:${eventId}}`
    for (let made = 0; made < count; made += 1_000) {
      const records = Array.from({ length: 1_000 }, () => [
        newRid(eventId),
        `held|${quantity}|somebody|1|0-1|||`,
      ])
      await world.redis.hset(`${key}:states`, Object.fromEntries(records))
    }
    await world.redis.set(`${key}:stock`, 10 - count * quantity)
    const facts = await expectSound(eventId)
    expect(facts).to.deep.include({ inFlight: count * quantity, drift: 0 })
  })

  describe('finds what is wrong:', () => {
    const faults: [string, number[], (eventId: string, orders: Ordered[]) => Promise<unknown>][] = [
      [
        'a unit that PostgreSQL made up',
        [1, 3],
        (id) => world.knex('spike_events').where({ id }).update({ available: 3 }),
      ],
      [
        'a grant that is not in the ledger',
        [1, 3],
        (id) => world.knex('spike_events').where({ id }).update({ granted: 6, available: 3 }),
      ],
      ['a unit that Redis made up', [2, 3], (id) => world.redis.incr(`{spike:${id}}:stock`)],
      ['a unit that Redis lost', [2, 3], (id) => world.redis.decr(`{spike:${id}}:stock`)],
      [
        'a unit given back of an order that still has it',
        [3],
        (_id, [ordered]) => world.scripts.release({ ...(ordered as Ordered), reason: 'lapsed' }),
      ],
      ['a gate that is gone', [2, 3], (id) => world.redis.unlink(`{spike:${id}}:gate`)],
      [
        'an order whose claim is gone',
        [1, 3, 4],
        (_id, [ordered]) =>
          world.knex('spike_orders').where({ reservation_id: ordered?.rid }).update({ live: false }),
      ],
      [
        'a claim that outlives its order',
        [4],
        (_id, [ordered]) =>
          world
            .knex('orders')
            .where({ id: ordered?.orderId })
            .update({ status: 'closed', close_reason: 'cancelled' }),
      ],
      [
        'an order without a claim of its own',
        [4],
        async (_id, [ordered, other]) => {
          const claim = world.knex('spike_orders').where({ reservation_id: ordered?.rid })
          await claim.update({ order_id: other?.orderId })
        },
      ],
      [
        'money that was kept for a closed order',
        [6],
        async (_id, [ordered]) => {
          const callback = await captureOf(world, ordered as Ordered)
          await lapse(world, ordered as Ordered)
          await world.scripts.release({ ...(ordered as Ordered), reason: 'lapsed' })
          await world.knex('payment_events').insert({ provider: 'simulated', ...callback })
        },
      ],
      [
        'money that was taken twice',
        [6],
        async (_id, [ordered]) => {
          const callback = await captureOf(world, ordered as Ordered)
          await settle(world, callback)
          const event = await world.knex('payment_events').where({ payment_id: callback.payment_id }).first()
          await world.knex('payment_events').insert({ ...event, txn_id: `again-${callback.txn_id}` })
        },
      ],
      [
        'an order that nobody closes',
        [7],
        (_id, [ordered]) =>
          world
            .knex('orders')
            .where({ id: ordered?.orderId })
            .update({ expires_at: world.knex.raw(`now() - interval '11 s'`) }),
      ],
    ]
    for (const [what, numbers, plant] of faults)
      it(what, async () => {
        const eventId = await createSale(world, { stock: 5 })
        const orders = await orderUnits(world, eventId, 3)
        await expectSound(eventId)
        await plant(eventId, orders)
        expect(broken(await factsOf(eventId))).to.deep.equal(numbers)
      })
  })
})
