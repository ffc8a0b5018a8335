import { Readable } from 'node:stream'
import { expect } from 'chai'
import type { Redis } from 'ioredis'
import { after, before, describe, it } from 'mocha'
import { createPostgres } from '../../../src/platform/postgres/client.ts'
import { readBooks, type Books } from '../../../src/snapshot.ts'
import { createSale } from '../../factories/sales.ts'
import { lapse, orderUnits, reserveUnits } from '../../support/claims.ts'
import type { Ordered } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** What happens while the records are read: as the first walk over them begins, and when it has ended. */
interface Meanwhile {
  first?: () => Promise<unknown>
  last?: () => Promise<unknown>
}

describe('the books of a sale', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  function redisWith(eventId: string, { first, last }: Meanwhile): Redis {
    let walks = 0
    const hscanStream: Redis['hscanStream'] = (key, options) => {
      const walk = world.redis.hscanStream(key, options)
      if (key !== `{spike:${eventId}}:states` || walks++ > 0) return walk
      const meddled = async function* () {
        await first?.()
        yield* walk
        await last?.()
      }
      return Readable.from(meddled()) as never
    }
    return Object.create(world.redis, { hscanStream: { value: hscanStream } }) as Redis
  }

  async function look(
    eventId: string,
    meanwhile: Meanwhile = {},
    earlier?: Books,
    knex = world.knex,
  ): Promise<Books> {
    const books = await readBooks({ knex, redis: redisWith(eventId, meanwhile) }, eventId, earlier)
    if (!books?.meter) throw new Error('no meter')
    const { granted, free, held, pending, paid, releasing, drift } = books.meter
    expect(free + held + pending + paid + releasing + drift).to.equal(granted)
    return books
  }

  const release = (orders: readonly Ordered[]) =>
    Promise.all(orders.map((order) => world.scripts.release({ ...order, reason: 'lapsed' })))

  const miscounts = ({ findings }: Books) => findings.filter(({ kind }) => kind === 'miscounted')

  function expectWell(books: Books): void {
    expect(books).to.deep.include({ drifting: false, lasting: [] })
    expect(books.meter?.drift).to.equal(0)
    expect(miscounts(books)).to.deep.equal([])
  }

  it('count units that are given back while the records are read as being released', async () => {
    const eventId = await createSale(world, { stock: 20 })
    const orders = await orderUnits(world, eventId, 6)
    const lapsed = orders.slice(0, 4)
    await lapse(world, ...lapsed)
    const earlier = await look(eventId, { first: () => release(lapsed.slice(0, 2)) })
    expectWell(earlier)
    expect(earlier.meter).to.include({ free: 14, pending: 2, releasing: 4 })
    const books = await look(eventId, { first: () => release(lapsed.slice(2)) }, earlier)
    expectWell(books)
    expect(books.meter).to.include({ free: 16, pending: 2, releasing: 2 })
    expect((await look(eventId)).meter).to.include({ free: 18, pending: 2, releasing: 0 })
  })

  it('find units that are given back and taken again meanwhile, also those that the walk has passed by', async () => {
    const eventId = await createSale(world, { stock: 8 })
    const orders = await orderUnits(world, eventId, 8)
    await lapse(world, ...orders)
    const passedBy = await look(eventId, {
      first: () => release(orders.slice(0, 3)),
      last: () => reserveUnits(world, eventId, 3),
    })
    expectWell(passedBy)
    const seen = await look(eventId, {
      first: async () => {
        await release(orders.slice(3, 6))
        await reserveUnits(world, eventId, 3)
      },
    })
    expectWell(seen)
    expect((await look(eventId)).meter).to.include({ free: 0, held: 6, releasing: 2 })
  })

  it('take units that are let go and given back behind the snapshot for those of their orders', async () => {
    const eventId = await createSale(world, { stock: 10 })
    const orders = await orderUnits(world, eventId, 3)
    const first = async () => {
      await lapse(world, ...orders)
      await release(orders)
    }
    const books = await look(eventId, { first })
    expectWell(books)
    expect(books.meter).to.include({ free: 7, pending: 3, releasing: 0 })
  })

  it('take units that are reserved meanwhile for free, or for held', async () => {
    const eventId = await createSale(world, { stock: 10 })
    const [first, last] = [() => reserveUnits(world, eventId, 2), () => reserveUnits(world, eventId, 2)]
    const earlier = await look(eventId, { first, last })
    expectWell(earlier)
    expect(earlier.meter).to.include({ releasing: 0 })
    expectWell(await look(eventId, { first, last }, earlier))
  })

  it('tell units that are missing, or too many, while others move', async () => {
    for (const [units, text] of [
      [2, 'missing'],
      [-2, 'too many'],
    ] as const) {
      const eventId = await createSale(world, { stock: 20 })
      const orders = await orderUnits(world, eventId, 2)
      await lapse(world, ...orders)
      await world.redis.decrby(`{spike:${eventId}}:stock`, units)
      const busy = (from: number): Meanwhile => ({
        first: () => release(orders.slice(from, from + 1)),
        last: () => reserveUnits(world, eventId, 1),
      })
      const books = await look(eventId, busy(1), await look(eventId, busy(0)))
      expect(books.drifting, text).to.equal(true)
      expect(Math.sign(books.meter?.drift ?? 0), text).to.equal(Math.sign(units))
      const calm = await look(eventId)
      expect(calm.meter?.drift, text).to.equal(units)
      expect(miscounts(calm), text).to.deep.equal([{ kind: 'miscounted', units: -units }])
    }
  })

  it('keep their snapshot while a long walk leaves PostgreSQL nothing to do', async () => {
    const eventId = await createSale(world)
    const applicationName = 'spike-test-books'
    const knex = createPostgres({ url: world.config.databaseUrl, applicationName, poolMax: 1 }, world.log)
    try {
      await knex.raw('SET idle_in_transaction_session_timeout = 50')
      const idle = async () => {
        const { rows } = await world.knex.raw(
          `SELECT FROM pg_stat_activity WHERE application_name = ? AND state = 'idle in transaction'
              AND clock_timestamp() - state_change > interval '200 ms'`,
          [applicationName],
        )
        return rows.length === 1
      }
      expectWell(
        await look(eventId, { first: () => until('an idle transaction', idle, 3_000) }, undefined, knex),
      )
    } finally {
      await knex.destroy()
    }
  })
})
