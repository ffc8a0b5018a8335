import { expect } from 'chai'
import type { Knex } from 'knex'
import { after, before, describe, it } from 'mocha'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { cancelOrder, closeLapsedOrders, overdueOrders } from '../../../src/orders/close.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { placeOrder } from '../../../src/orders/place.ts'
import { settlePayment } from '../../../src/pay.ts'
import { startPayment } from '../../../src/payments/start.ts'
import { createPostgres } from '../../../src/platform/postgres/client.ts'
import { adjustSale } from '../../../src/sale.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { eachOf } from '../../support/flood.ts'
import { randomOf } from '../../support/random.ts'
import { accepted, buyerIds, expectConserved, letLapse } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const NAME = 'spike-test-storm'
const PROVIDER = 'simulated'

/** Connections of one storm; its deadlocks are counted when they are gone, because PostgreSQL counts late. */
async function countDeadlocks(world: World, storm: (knex: Knex) => Promise<unknown>): Promise<number> {
  const knex = createPostgres(
    { url: world.config.databaseUrl, applicationName: NAME, poolMax: 24 },
    world.log,
  )
  const read = async () => {
    const { rows } = await world.knex.raw(
      'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
    )
    return Number(rows[0].deadlocks)
  }
  const before = await read()
  await storm(knex)
  await knex.destroy()
  await until('its connections to be gone', async () => {
    const others = await world.knex('pg_stat_activity').where('application_name', NAME).first('pid')
    return others === undefined
  })
  return (await read()) - before
}

describe('the order in which rows are locked', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  it('is watched by a count that knows a deadlock when there is one', async () => {
    const [a, b] = [await createProduct(world), await createProduct(world)]
    const deadlocks = await countDeadlocks(world, async (knex) => {
      const takeBoth = async (first: string, second: string) =>
        knex.transaction(async (trx) => {
          await trx('products').where({ id: first }).increment('version')
          await trx.raw('SELECT pg_sleep(0.1)')
          await trx('products').where({ id: second }).increment('version')
        })
      await Promise.allSettled([takeBoth(a, b), takeBoth(b, a)])
    })
    expect(deadlocks).to.equal(1)
  })

  it('keeps deciding, closing, cancelling, paying, placing and stock changes from ever blocking each other for good', async function () {
    this.timeout(60_000)
    const random = randomOf(48)
    const productId = await createProduct(world, 100_000)
    const other = await createProduct(world, 100_000)
    const events = [
      await createSale(world, { productId, stock: 25, lapseLimit: 9 }),
      await createSale(world, { productId, stock: 25, lapseLimit: 9 }),
    ]
    const buyers = await buyerIds(world, 60)
    const one = <T>(list: readonly T[]): T => list[random.below(list.length)] as T

    const deadlocks = await countDeadlocks(world, async (knex) => {
      const storm = { ...world, knex }
      const pendingIds = (): Promise<string[]> =>
        knex('orders').where('status', 'pending').orderByRaw('random()').limit(12).pluck('id')
      const deeds: (() => Promise<unknown>)[] = [
        async () => {
          const batch = Array.from({ length: 15 }, () => accepted(one(events), one(buyers)))
          await receiveReservations(knex, random.shuffled(batch))
          const undecided = knex('reservations').where('status', 'undecided').orderByRaw('random()').limit(25)
          await decideReservations(knex, await undecided.pluck('rid'))
        },
        async () => {
          for (const id of await pendingIds()) await letLapse(knex, [id]) // one lock at a time: this is not the product
          await closeLapsedOrders(knex, random.shuffled(await overdueOrders(knex, 20)))
        },
        async () => {
          const orders = await knex('orders').where('status', 'pending').orderByRaw('random()').limit(3)
          for (const { id, user_id } of orders) await cancelOrder(knex, id, user_id)
        },
        async () => {
          // Late money too: some of these have lapsed by the time that it comes.
          const orders = await knex('orders').where('status', 'pending').orderByRaw('random()').limit(4)
          for (const { id: orderId, user_id: userId } of orders) {
            const start = await startPayment(knex, { orderId, userId, provider: PROVIDER })
            if (start.kind !== 'started') continue
            const { paymentId, amount, currency } = start.payment
            if (random.below(2) === 0) await letLapse(knex, [orderId])
            await settlePayment(storm, PROVIDER, {
              txn_id: `txn-${paymentId}`,
              payment_id: paymentId,
              kind: 'captured',
              amount,
              currency,
            })
          }
        },
        async () => {
          const items = random.shuffled([productId, other]).map((id) => ({ productId: id, quantity: 1 }))
          const idempotencyKey = String(random.below(1_000_000))
          await placeOrder(knex, { userId: one(buyers), items, idempotencyKey })
        },
        () =>
          adjustSale(storm, one(events), { delta: random.below(2) === 0 ? 4 : -3, reason: 'storm' }, SYSTEM),
      ]
      const runs = Array.from({ length: 210 }, (_, i) => deeds[i % deeds.length] as () => Promise<unknown>)
      await eachOf(random.shuffled(runs), 20, async (deed) => void (await deed()))
    })

    expect(deadlocks).to.equal(0)
    const ended = await world.knex('orders').whereIn('status', ['paid', 'closed']).pluck('id')
    expect(ended, 'a storm in which something happened').to.have.length.above(60)
    for (const eventId of events) await expectConserved(world.knex, eventId)
  })
})
