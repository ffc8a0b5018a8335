import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import type { Knex } from 'knex'
import { after, afterEach, before, describe, it } from 'mocha'
import { moveUnits } from '../../../src/orders/units.ts'
import { createSale } from '../../factories/sales.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('moveUnits', () => {
  let world: World
  let open: Knex.Transaction[] = []
  before(async () => {
    world = await createWorld()
  })
  afterEach(async () => {
    await Promise.all(open.filter((trx) => !trx.isCompleted()).map((trx) => trx.rollback()))
    open = []
  })
  after(() => world.close())

  /** A transaction that comes to its end when the test does, or before. */
  async function begin(): Promise<Knex.Transaction> {
    const trx = await world.knex.transaction()
    open.push(trx)
    return trx
  }

  /** Sales with so many units each, in the order of their ids. */
  async function salesOf(...stocks: number[]): Promise<string[]> {
    const ids = (await Promise.all(stocks.map(() => createSale(world)))).sort()
    for (const [i, available] of stocks.entries())
      await world.knex('spike_events').where('id', ids[i]).update({ granted: 100, available })
    return ids
  }

  const unitsOf = (ids: readonly string[]): Promise<number[]> =>
    world.knex('spike_events').whereIn('id', ids).orderBy('id').pluck('available')

  const rowsOf = (knex: Knex, ids: readonly string[]) =>
    knex('spike_events').whereIn('id', ids).orderBy('id').select('id')

  /** In the order that the rows must not be locked in. */
  const backwards = (ids: readonly string[], ...deltas: number[]) =>
    new Map(ids.map((id, i): [string, number] => [id, deltas[i] ?? 0]).toReversed())

  const move = (deltas: ReadonlyMap<string, number>) =>
    world.knex.transaction((trx) => moveUnits(trx, deltas))

  const waiting = (count: number) =>
    until(`${count} to wait for a lock`, async () => {
      const { rows } = await world.knex.raw(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length === count
    })

  it('gives to some and takes from others, however many they are', async () => {
    for (const count of [0, 1, 2, 40]) {
      const ids = await salesOf(...Array.from({ length: count }, () => 10))
      const deltas = ids.map((_, i) => (i % 2 === 0 ? -10 : i))
      expect(await move(backwards(ids, ...deltas))).to.equal(true)
      expect(await unitsOf(ids)).to.deep.equal(deltas.map((delta) => 10 + delta))
    }
  })

  it('tells that one had too few, or is unknown, and leaves it as it is', async () => {
    const ids = await salesOf(3, 3, 3)
    expect(await move(backwards(ids, -2, -4, -3))).to.equal(false)
    expect(await unitsOf(ids)).to.deep.equal([1, 3, 0])
    expect(await move(backwards(ids.slice(0, 1), -2))).to.equal(false)
    expect(await move(new Map([[randomUUID(), 1]]))).to.equal(false)
    expect(await unitsOf(ids)).to.deep.equal([1, 3, 0])
  })

  it('locks the rows in the order of their ids, before it changes one', async () => {
    const ids = await salesOf(9, 9, 9, 9)
    const holding = await begin()
    await rowsOf(holding, ids.slice(1, 2)).forNoKeyUpdate()
    const moved = move(backwards(ids, -1, -1, -1, -1))
    await waiting(1)
    const others = [...ids.slice(0, 1), ...ids.slice(2)]
    const free = await rowsOf(world.knex, others).forNoKeyUpdate().skipLocked()
    expect(free.map(({ id }) => id)).to.deep.equal(ids.slice(2))
    await holding.rollback()
    expect(await moved).to.equal(true)
    expect(await unitsOf(ids)).to.deep.equal([8, 8, 8, 8])
  })

  for (const count of [1, 3]) {
    /** Takes `wanted` of each sale while another transaction that has taken `taken` comes to its end. */
    async function inTurn(
      [taken, wanted]: [number, number],
      end: 'commit' | 'rollback' = 'commit',
    ): Promise<{ moved: boolean; left: number[] }> {
      const ids = await salesOf(...Array.from({ length: count }, () => 10))
      const deltasOf = (units: number) => backwards(ids, ...ids.map(() => -units))
      const first = await begin()
      expect(await moveUnits(first, deltasOf(taken))).to.equal(true)
      const second = move(deltasOf(wanted))
      await waiting(1)
      await first[end]()
      return { moved: await second, left: await unitsOf(ids) }
    }
    const each = (left: number) => Array.from({ length: count }, () => left)

    describe(`of ${count} at once, when it waits for another transaction`, () => {
      it('takes from what that one has left', async () => {
        expect(await inTurn([3, 7])).to.deep.equal({ moved: true, left: each(0) })
      })

      it('takes nothing when that one has left too few', async () => {
        expect(await inTurn([4, 7])).to.deep.equal({ moved: false, left: each(6) })
      })

      it('takes from what there was when that one is rolled back', async () => {
        expect(await inTurn([4, 7], 'rollback')).to.deep.equal({ moved: true, left: each(3) })
      })
    })
  }

  it('takes from those of several that the other has left enough of', async () => {
    const ids = await salesOf(10, 10, 1)
    const first = await begin()
    await moveUnits(first, backwards(ids, -3, -4, 9))
    const second = move(backwards(ids, -7, -7, -8))
    await waiting(1)
    await first.commit()
    expect(await second).to.equal(false)
    expect(await unitsOf(ids)).to.deep.equal([0, 6, 2])
  })

  it('waits for nobody who waits for it, when a row changed before it was locked', async () => {
    const ids = await salesOf(9, 9)
    const last = ids.slice(1)
    await rowsOf(await begin(), last).forKeyShare() // as the foreign key of a claim does
    const changing = await begin()
    await moveUnits(changing, backwards(last, -2))
    const moved = move(backwards(ids, -3, -3))
    await waiting(1)
    const behind = world.knex.transaction((trx) => rowsOf(trx, last).forNoKeyUpdate())
    await waiting(2)
    await changing.commit()
    expect(await moved).to.equal(true)
    await behind
    expect(await unitsOf(ids)).to.deep.equal([6, 4])
  })
})
