import { expect } from 'chai'
import { after, afterEach, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { drainOutbox, type OutboxRow } from '../../../src/orders/outbox.ts'
import { createWorld, type World } from '../../support/world.ts'

const ALL = (rows: readonly OutboxRow[]): Promise<number[]> => Promise.resolve(rows.map(({ id }) => id))

describe('drainOutbox', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  afterEach(() => world.knex('outbox').delete())
  after(() => world.close())

  const fill = async (count: number): Promise<number[]> => {
    const rows = Array.from({ length: count }, (_, i) => ({
      topic: 'order.created',
      key: uuidv7(),
      payload: { i },
    }))
    const ids: { id: number }[] = await world.knex('outbox').insert(rows).returning('id')
    return ids.map(({ id }) => id).sort((a, b) => a - b)
  }
  const unpublished = async (): Promise<number[]> =>
    (await world.knex('outbox').whereNull('published_at').orderBy('id').select('id')).map(({ id }) => id)

  it('hands the oldest rows over in their order and marks them as published', async () => {
    const ids = await fill(5)
    const seen: OutboxRow[] = []
    const result = await drainOutbox(world.knex, 3, (rows) => {
      seen.push(...rows)
      return ALL(rows)
    })
    expect(result).to.deep.equal({ read: 3, published: 3 })
    expect(seen.map(({ id }) => id)).to.deep.equal(ids.slice(0, 3))
    expect(seen[1]).to.deep.include({ topic: 'order.created', payload: { i: 1 } })
    expect(await unpublished()).to.deep.equal(ids.slice(3))
  })

  it('publishes nothing when there is nothing', async () => {
    const result = await drainOutbox(world.knex, 3, () => Promise.reject(new Error('nobody should ask')))
    expect(result).to.deep.equal({ read: 0, published: 0 })
  })

  it('keeps rows that the broker did not confirm, and hands them over again', async () => {
    const ids = await fill(4)
    const odd = (rows: readonly OutboxRow[]) =>
      Promise.resolve(rows.filter((_, i) => i % 2 === 1).map(({ id }) => id))
    expect(await drainOutbox(world.knex, 10, odd)).to.deep.equal({ read: 4, published: 2 })
    expect(await unpublished()).to.deep.equal([ids[0], ids[2]])
    expect(await drainOutbox(world.knex, 10, ALL)).to.deep.equal({ read: 2, published: 2 })
    expect(await unpublished()).to.deep.equal([])
  })

  it('keeps all rows when publishing fails', async () => {
    const ids = await fill(3)
    const failed = await drainOutbox(world.knex, 10, () => Promise.reject(new Error('broker is gone'))).catch(
      (error: Error) => error.message,
    )
    expect(failed).to.equal('broker is gone')
    expect(await unpublished()).to.deep.equal(ids)
  })

  it('gives two drains at the same time different rows, and each row to one of them', async () => {
    const ids = await fill(50)
    const batches: number[][] = []
    let bothHaveRows: () => void = () => undefined
    const together = new Promise<void>((resolve) => (bothHaveRows = resolve))
    const publish = async (rows: readonly OutboxRow[]): Promise<number[]> => {
      const batch = rows.map(({ id }) => id)
      if (batches.push(batch) === 2) bothHaveRows()
      await together
      return batch
    }
    await Promise.all([drainOutbox(world.knex, 25, publish), drainOutbox(world.knex, 25, publish)])
    expect(batches.map(({ length }) => length)).to.deep.equal([25, 25])
    expect(batches.flat().sort((a, b) => a - b)).to.deep.equal(ids)
    expect(await unpublished()).to.deep.equal([])
  })

  it('publishes every row once when five drains empty it together', async () => {
    const ids = await fill(200)
    const seen: number[] = []
    const publish = (rows: readonly OutboxRow[]) => {
      seen.push(...rows.map(({ id }) => id))
      return ALL(rows)
    }
    const drain = async () => {
      while ((await unpublished()).length > 0) await drainOutbox(world.knex, 20, publish)
    }
    await Promise.all(Array.from({ length: 5 }, drain))
    expect(seen.sort((a, b) => a - b)).to.deep.equal(ids)
  })
})
