import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { endSale, followEvent, pauseSale } from '../../../src/sale.ts'
import { adjustStock } from '../../../src/spike-events/ledger.ts'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { createEvent, publishEvent } from '../../../src/spike-events/transitions.ts'
import { createDraft, createProduct, createSale } from '../../factories/sales.ts'
import { dumpKeys } from '../../support/redis-dump.ts'
import { expectConserved, order } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the ledger of granted units', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  const stockOf = async (productId: string): Promise<number> =>
    (await world.knex('inventory').where({ product_id: productId }).first('stock')).stock
  const unapplied = (id: string): Promise<{ delta: number }[]> =>
    world.knex('spike_event_adjustments').where({ event_id: id, applied_at: null }).select('delta')
  const inRedis = (id: string) => world.scripts.countUnits({ eventId: id })
  const adjust = (id: string, delta: number) => adjustStock(world.knex, id, { delta, reason: 'test' }, SYSTEM)
  /** Follows as several processes do that all find the same row. */
  const followedByFive = (id: string) => Promise.all(Array.from({ length: 5 }, () => followEvent(world, id)))

  for (const delta of [5, -5])
    it(`applies ${delta} units to Redis once that were committed by a process that died`, async () => {
      const id = await createSale(world)
      expect(await adjust(id, delta)).to.deep.include({
        kind: 'done',
        granted: 10 + delta,
        available: 10 + delta,
      })
      expect(await inRedis(id), 'PostgreSQL first').to.include({ granted: 10, stock: 10 })
      expect(await unapplied(id)).to.deep.equal([{ delta }])
      await followedByFive(id)
      const after = { granted: 10 + delta, stock: 10 + delta }
      expect(await inRedis(id)).to.include(after)
      expect(await unapplied(id)).to.deep.equal([])
      await followEvent(world, id)
      await followEvent(world, id)
      expect(await inRedis(id)).to.include(after)
      expect(await expectConserved(world.knex, id)).to.equal(10 + delta)
    })

  it('applies a row once of which Redis knows and PostgreSQL does not, after a crash between the two', async () => {
    const id = await createSale(world)
    const result = await adjust(id, 5)
    const { id: adjustmentId } = result.kind === 'done' ? result.adjustment : { id: '' }
    await world.scripts.adjust({ eventId: id, adjustmentId, delta: 5 })
    await followedByFive(id)
    expect(await inRedis(id)).to.include({ granted: 15, stock: 15 })
    expect(await unapplied(id)).to.deep.equal([])
  })

  it('opens a gate with all rows counted once that were written before any process opened it', async () => {
    const id = await createDraft(world)
    await publishEvent(world.knex, id, SYSTEM)
    await adjust(id, 7)
    await adjust(id, -2)
    await followedByFive(id)
    expect(await inRedis(id)).to.include({ granted: 15, stock: 15 })
    expect(await unapplied(id)).to.deep.equal([])
    expect(await expectConserved(world.knex, id)).to.equal(15)
  })

  it('leaves a row for the rebuild while there is no gate', async () => {
    const id = await createSale(world)
    await world.redis.del(spikeKeys(id).gate)
    const before = await dumpKeys(world.redis, `{spike:${id}}:*`)
    await adjust(id, 5)
    await followEvent(world, id)
    expect(await unapplied(id)).to.deep.equal([{ delta: 5 }])
    expect(await dumpKeys(world.redis, `{spike:${id}}:*`)).to.deep.equal(before)
  })

  it('gives added units back with the others when the sale ends', async () => {
    const productId = await createProduct(world, 100)
    const id = await createSale(world, { productId })
    await adjust(id, 5)
    await pauseSale(world, id, SYSTEM)
    await endSale(world, id, SYSTEM)
    expect(await stockOf(productId)).to.equal(100)
    expect(await inRedis(id)).to.include({ granted: 0, stock: 0 })
    expect(await expectConserved(world.knex, id)).to.equal(0)
  })

  it('loses no unit when orders, additions and cuts meet', async () => {
    const productId = await createProduct(world, 1_000)
    const id = await createSale(world, { productId, stock: 100 })
    const deltas = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 7 : -3))
    await Promise.all([
      ...deltas.map((delta) => adjust(id, delta)),
      ...Array.from({ length: 5 }, () => order(world, id, 8)),
      ...Array.from({ length: 5 }, () => followEvent(world, id)),
    ])
    await followEvent(world, id)
    expect(await expectConserved(world.knex, id)).to.equal(100 + 40 - 40)
    expect(await inRedis(id)).to.include({ granted: 140, stock: 140 })
    expect(await stockOf(productId)).to.equal(1_000 - 140)
  })

  describe('of a product that is being deleted', () => {
    /** Deletes a product, as one transaction that is still open while `work` begins. */
    async function deletedWhile<T>(productId: string, work: () => Promise<T>): Promise<T> {
      const trx = await world.knex.transaction()
      await trx('products').where({ id: productId }).forUpdate().select('id')
      await trx('products').where({ id: productId }).update({ deleted_at: trx.fn.now() })
      const begun = work()
      await until('it to wait for the deletion', async () => {
        const { rows } = await world.knex.raw(
          `SELECT count(*) AS waiting FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
        return rows[0].waiting > 0
      })
      await trx.commit()
      return begun
    }

    it('lets no draft slip in', async () => {
      const productId = await createProduct(world)
      const input = {
        productId,
        startAt: new Date(),
        endAt: new Date(Date.now() + 60_000),
        spikePrice: 1,
        stock: 1,
        paymentWindowS: 1,
        perUserLimit: 1,
        lapseLimit: 1,
      }
      const result = await deletedWhile(productId, () => createEvent(world.knex, input, SYSTEM))
      expect(result).to.deep.equal({ kind: 'no_product', productId })
      expect(await world.knex('spike_events').where({ product_id: productId })).to.deep.equal([])
    })

    it('lets no publish slip in', async () => {
      const productId = await createProduct(world, 100)
      const id = await createDraft(world, { productId })
      const result = await deletedWhile(productId, () => publishEvent(world.knex, id, SYSTEM))
      expect(result).to.deep.equal({ kind: 'no_product', productId })
      expect(await stockOf(productId)).to.equal(100)
    })
  })
  describe('of a sale whose workers run', () => {
    it('is brought to Redis by the sweep, with nobody’s help', async () => {
      const id = await createSale(world)
      await adjust(id, 5)
      await world.start('workers')
      await until('the units in Redis', async () => {
        const counts = await inRedis(id)
        return counts !== 'NOT_READY' && counts.stock === 15
      })
    })
  })
})
