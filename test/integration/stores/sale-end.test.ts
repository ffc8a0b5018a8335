import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { closeLapsedOrders } from '../../../src/orders/close.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { newRid } from '../../support/rids.ts'
import { endSale, followEvent, pauseSale, resumeSale } from '../../../src/sale.ts'
import { returnUnits } from '../../../src/spike-events/ledger.ts'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { endEvent, publishEvent } from '../../../src/spike-events/transitions.ts'
import { createDraft, createProduct, createSale } from '../../factories/sales.ts'
import {
  buyerIds,
  expectConserved,
  letLapse,
  order,
  receive,
  type Ordered,
} from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('ending a sale', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  const stockOf = async (productId: string): Promise<number> =>
    (await world.knex('inventory').where({ product_id: productId }).first('stock')).stock
  const sale = async (): Promise<{ id: string; productId: string }> => {
    const productId = await createProduct(world, 100)
    return { id: await createSale(world, { productId, stock: 10 }), productId }
  }
  const claim = (id: string) => ({
    eventId: id,
    rid: newRid(id),
    userId: uuidv7(),
    quantity: 1,
    requestId: 'test',
  })
  /** Tells Redis of an order, as step 4 does. */
  const adopt = (ordered: Ordered) => world.scripts.confirm([{ eventId: ordered.eventId, orders: [ordered] }])

  /** Invariants 1 and 2: nothing is lost between PostgreSQL, Redis and the inventory. */
  async function expectSettled(id: string, productId: string, sold: number): Promise<void> {
    expect(await expectConserved(world.knex, id)).to.equal(0)
    expect(await stockOf(productId), 'inventory').to.equal(100 - sold)
    const counts = await world.scripts.countUnits({ eventId: id })
    expect(counts).to.include({ granted: sold, stock: 0 })
    expect(await world.redis.hget(spikeKeys(id).gate, 'status')).to.equal('ended')
  }

  it('gives the free units back to the inventory and takes them from Redis', async () => {
    const { id, productId } = await sale()
    for (const ordered of await order(world, id, 3)) await adopt(ordered)
    expect((await endSale(world, id, SYSTEM)).kind).to.equal('done')
    await expectSettled(id, productId, 3)
  })

  it('gives them back once when five processes end the sale at the same time', async () => {
    const { id, productId } = await sale()
    const results = await Promise.all(Array.from({ length: 5 }, () => endSale(world, id, SYSTEM)))
    await Promise.all(Array.from({ length: 5 }, () => followEvent(world, id)))
    expect(results.filter(({ kind }) => kind === 'done')).to.have.length(1)
    await expectSettled(id, productId, 0)
    const movements = await world.knex('inventory_movements').where({ product_id: productId, reference: id })
    expect(movements.map(({ delta }) => delta)).to.deep.equal([-10, 10])
  })

  it('gives them back once when the process that ended it died at once', async () => {
    const { id, productId } = await sale()
    await endEvent(world.knex, id, SYSTEM)
    await Promise.all(Array.from({ length: 5 }, () => followEvent(world, id)))
    await expectSettled(id, productId, 0)
  })

  it('applies a return to Redis once that was committed by a process that died', async () => {
    const { id, productId } = await sale()
    await endEvent(world.knex, id, SYSTEM)
    const returned = await returnUnits(world.knex, id)
    expect(returned).to.include({ delta: -10 })
    await Promise.all(Array.from({ length: 5 }, () => followEvent(world, id)))
    await expectSettled(id, productId, 0)
    const open = await world.knex('spike_event_adjustments').where({ event_id: id, applied_at: null })
    expect(open).to.deep.equal([])
  })

  for (const state of ['held', 'queued'] as const)
    it(`keeps all units while one is ${state} without a verdict`, async () => {
      const { id, productId } = await sale()
      const mine = claim(id)
      await world.scripts.reserve(mine)
      if (state === 'queued') await world.scripts.markQueued([{ eventId: id, rids: [mine.rid] }])
      expect((await endSale(world, id, SYSTEM)).kind).to.equal('done')
      expect(await stockOf(productId)).to.equal(90)
      expect(await expectConserved(world.knex, id)).to.equal(10)
      await world.scripts.release({ ...mine, reason: 'unknown_buyer' })
      await followEvent(world, id)
      await expectSettled(id, productId, 0)
    })

  it('keeps all units while a reservation in the inbox waits for its verdict', async () => {
    const { id, productId } = await sale()
    const rids = await receive(world, id, await buyerIds(world, 1))
    await endSale(world, id, SYSTEM)
    expect(await stockOf(productId)).to.equal(90)
    const [verdict] = await decideReservations(world.knex, rids)
    await adopt(verdict as Ordered)
    await followEvent(world, id)
    await expectSettled(id, productId, 1)
  })

  it('gives the unit of an order back that lapses after the end', async () => {
    const { id, productId } = await sale()
    const [late] = await order(world, id, 1)
    await adopt(late as Ordered)
    await endSale(world, id, SYSTEM)
    await expectSettled(id, productId, 1)
    await letLapse(world.knex, [late?.orderId ?? ''])
    await closeLapsedOrders(world.knex, [late?.orderId ?? ''])
    await world.scripts.release({ ...(late as Ordered), reason: 'lapsed' })
    await followEvent(world, id)
    await expectSettled(id, productId, 0)
  })

  it('lets nobody reserve once it has ended, and can’t be paused, resumed or ended again', async () => {
    const { id } = await sale()
    await pauseSale(world, id, SYSTEM)
    await endSale(world, id, SYSTEM)
    expect(await world.scripts.reserve(claim(id))).to.deep.equal({ kind: 'ended' })
    for (const change of [pauseSale, resumeSale, endSale])
      expect(await change(world, id, SYSTEM)).to.deep.equal({ kind: 'wrong_state', status: 'ended' })
  })

  it('settles a sale that ended before any process opened its gate', async () => {
    const productId = await createProduct(world, 100)
    const id = await createDraft(world, { productId })
    await publishEvent(world.knex, id, SYSTEM)
    await endEvent(world.knex, id, SYSTEM)
    await followEvent(world, id)
    await expectSettled(id, productId, 0)
  })

  it('changes its status while batches of orders are decided, and neither fails', async () => {
    const id = await createSale(world, { stock: 300 })
    const rids = await receive(world, id, await buyerIds(world, 240))
    const batches = Array.from({ length: 24 }, (_, i) => rids.slice(i * 10, i * 10 + 10))
    const deciding = Promise.all(batches.map((batch) => decideReservations(world.knex, batch)))
    const changing = (async () => {
      for (let i = 0; i < 10; i++) await (i % 2 === 0 ? pauseSale : resumeSale)(world, id, SYSTEM)
    })()
    const [verdicts] = await Promise.all([deciding, changing])
    expect(verdicts.flat().filter(({ kind }) => kind === 'ordered')).to.have.length(240)
    expect(await expectConserved(world.knex, id)).to.equal(60)
  })
})
