import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { expect } from 'chai'
import type { Knex } from 'knex'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import { closeLapsedOrders } from '../../../src/orders/close.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { placeOrder } from '../../../src/orders/place.ts'
import { createPostgres } from '../../../src/platform/postgres/client.ts'
import { isTransient, retrying, retryingTransaction } from '../../../src/platform/postgres/transaction.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { Proxy } from '../../support/proxy.ts'
import {
  buyerIds,
  expectConserved,
  letLapse,
  order,
  receive,
  tally,
  toldOf,
} from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a transaction that PostgreSQL or the network breaks', () => {
  let world: World
  let proxy: Proxy
  let knex: Knex
  before(async () => {
    world = await createWorld()
    proxy = await Proxy.before(world.config.databaseUrl)
  })
  beforeEach(() => {
    knex = createPostgres(
      { url: proxy.urlOf(world.config.databaseUrl), applicationName: 'spike-test-lossy', poolMax: 4 },
      world.log,
    )
  })
  afterEach(() => knex.destroy())
  after(async () => {
    await proxy.cut()
    await world.close()
  })

  /** Does something once, just before a statement that begins like this is sent. @returns the statements of its kind */
  const beforeStatement = (statement: RegExp, strike: () => void): string[] => {
    const seen: string[] = []
    knex.on('query', ({ sql }: { sql: string }) => {
      if (!statement.test(sql)) return
      seen.push(sql)
      if (seen.length === 1) strike()
    })
    return seen
  }
  const commitsIntoTheDark = () => beforeStatement(/^COMMIT/, () => proxy.dropNextReply())

  describe('with its time limits', () => {
    it('has one on everything that can wait', async () => {
      for (const [setting, value] of [
        ['statement_timeout', '15s'],
        ['lock_timeout', '10s'],
        ['idle_in_transaction_session_timeout', '8s'],
      ] as const)
        expect((await knex.raw(`SHOW ${setting}`)).rows[0][setting]).to.equal(value)
    })

    it('gives up when no connection comes free or can be made, long before whoever asked has lost patience', async function () {
      this.timeout(12_000)
      const mute = createServer().listen(0, '127.0.0.1')
      await once(mute, 'listening')
      const { port } = mute.address() as AddressInfo
      const lost = createPostgres(
        { url: `postgres://spike@127.0.0.1:${port}/mute`, applicationName: 'spike-test-mute', poolMax: 1 },
        world.log,
      )
      const neverMade = retrying(() => lost.raw('SELECT 1')).catch((cause: unknown) => cause)
      const held = await Promise.all(Array.from({ length: 4 }, () => knex.transaction()))
      const error = await retryingTransaction(knex, (trx) => trx.raw('SELECT 1')).catch((e: unknown) => e)
      expect((error as Error).name).to.equal('KnexTimeoutError')
      expect(isTransient(await neverMade), String(await neverMade)).to.equal(true)
      await lost.destroy()
      mute.close()
      await Promise.all(held.map((trx) => trx.rollback()))
      expect((await knex.raw('SELECT 1 AS one')).rows).to.deep.equal([{ one: 1 }])
    })
  })

  describe('by a deadlock or a conflict', () => {
    it('is run again as a whole after a deadlock', async () => {
      const [a, b] = [await createProduct(world), await createProduct(world)]
      let begun = 0
      let bothHoldOne: () => void = () => undefined
      const meeting = new Promise<void>((resolve) => (bothHoldOne = resolve))
      const takeBoth = (first: string, second: string) =>
        retryingTransaction(knex, async (trx) => {
          const take = (id: string) => trx('products').where({ id }).increment('version')
          await take(first)
          if (++begun === 2) bothHoldOne()
          await meeting
          await take(second)
        })
      const before = await world.knex('products').whereIn('id', [a, b]).sum({ sum: 'version' }).first()
      await Promise.all([takeBoth(a, b), takeBoth(b, a)])
      const after = await world.knex('products').whereIn('id', [a, b]).sum({ sum: 'version' }).first()
      expect(begun, 'one of them began again').to.equal(3)
      expect(Number(after?.sum) - Number(before?.sum)).to.equal(4)
    })

    it('is run again as a whole after a serialisation failure', async () => {
      const id = await createProduct(world)
      let attempts = 0
      await retryingTransaction(knex, async (trx) => {
        await trx.raw('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
        const { version } = await trx('products').where({ id }).first('version')
        if (++attempts === 1) await world.knex('products').where({ id }).increment('version')
        await trx('products')
          .where({ id })
          .update({ version: version + 1 })
      })
      expect(attempts).to.equal(2)
    })

    it('is run a few times and not for ever, and at once fails with what is no accident', async () => {
      let attempts = 0
      const failing = (code: string) =>
        retrying(async () => {
          attempts++
          throw Object.assign(new Error(code), { code })
        }).catch((error: unknown) => (error as Error).message)
      expect([await failing('40001'), attempts]).to.deep.equal(['40001', 4])
      attempts = 0
      expect([await failing('23505'), attempts]).to.deep.equal(['23505', 1])
    })
  })

  describe('by a connection that is lost', () => {
    it('decides every rid once, also when it is lost in the middle', async () => {
      const eventId = await createSale(world, { stock: 10 })
      const rids = await receive(world, eventId, await buyerIds(world, 12))
      const tries = beforeStatement(/INSERT INTO spike_orders/, () => proxy.reset())
      expect(tally(await decideReservations(knex, rids))).to.deep.equal({ ordered: 10, sold_out: 2 })
      expect(tries).to.have.length.at.least(2)
      expect(await expectConserved(world.knex, eventId)).to.equal(0)
    })

    it('finds its own verdicts when the reply to its commit is lost', async () => {
      const eventId = await createSale(world, { stock: 10 })
      const rids = await receive(world, eventId, await buyerIds(world, 3))
      const commits = commitsIntoTheDark()
      const verdicts = await decideReservations(knex, rids)
      expect(commits, 'the first was not heard').to.have.length(2)
      expect(tally(verdicts)).to.deep.equal({ ordered: 3 })
      const orders = await world.knex('orders').where({ event_id: eventId }).pluck('id')
      expect(verdicts.map((verdict) => verdict.kind === 'ordered' && verdict.orderId)).to.have.members(orders)
      expect((await toldOf(world.knex, 'order.created')).sort()).to.include.members(orders)
      expect(await expectConserved(world.knex, eventId)).to.equal(7)
    })

    it('finds its own voids when the reply to its commit is lost', async () => {
      const eventId = await createSale(world, { stock: 1 })
      await order(world, eventId, 1)
      const rids = await receive(world, eventId, await buyerIds(world, 2))
      const commits = commitsIntoTheDark()
      expect(tally(await decideReservations(knex, rids))).to.deep.equal({ sold_out: 2 })
      expect(commits).to.have.length(2)
      const released = (await toldOf(world.knex, 'stock.released')).filter((rid) => rids.includes(rid))
      expect(released.sort()).to.deep.equal(rids)
    })

    it('gives units back once when the reply to a close’s commit is lost', async () => {
      const eventId = await createSale(world, { stock: 5 })
      const orderIds = (await order(world, eventId, 2)).map(({ orderId }) => orderId)
      await letLapse(world.knex, orderIds)
      const commits = commitsIntoTheDark()
      await closeLapsedOrders(knex, orderIds)
      expect(commits).to.have.length(2)
      expect(await expectConserved(world.knex, eventId)).to.equal(5)
      expect(
        await world.knex('orders').whereIn('id', orderIds).distinct('status', 'close_reason'),
      ).to.deep.equal([{ status: 'closed', close_reason: 'lapsed' }])
    })

    it('places one ordinary order when the reply to its commit is lost', async () => {
      const productId = await createProduct(world, 5)
      const [userId = ''] = await buyerIds(world, 1)
      const commits = commitsIntoTheDark()
      const items = [{ productId, quantity: 2 }]
      const placement = await placeOrder(knex, { userId, items, idempotencyKey: 'once' })
      expect(commits).to.have.length(2)
      const orders = await world.knex('orders').where({ user_id: userId }).pluck('id')
      expect(placement).to.deep.equal({ kind: 'placed', orderId: orders[0] })
      expect(orders).to.have.length(1)
      const inventory = await world.knex('inventory').where({ product_id: productId }).first('stock')
      expect(inventory.stock).to.equal(3)
    })

    it('leaves a connection behind that gave no answer, however the network treats it later', async () => {
      const url = new URL(proxy.urlOf(world.config.databaseUrl))
      url.searchParams.set('query_timeout', '100')
      const impatient = createPostgres(
        { url: url.href, applicationName: 'spike-test-impatient', poolMax: 1 },
        world.log,
      )
      const pid = async () => (await impatient.raw('SELECT pg_backend_pid() AS pid')).rows[0].pid
      const first = await pid()
      expect(await pid(), 'one that answers is kept').to.equal(first)
      proxy.fallSilent()
      const error = await pid().catch((cause: unknown) => cause)
      expect(isTransient(error)).to.equal(true)
      await proxy.restore()
      expect(await retrying(pid)).not.to.equal(first)
      await impatient.destroy()
    })

    it('goes on when the server has ended its session because the process stood still', async () => {
      const id = await createProduct(world)
      let attempts = 0
      await retryingTransaction(knex, async (trx) => {
        await trx.raw('SET LOCAL idle_in_transaction_session_timeout = 50')
        await trx('products').where({ id }).increment('version')
        if (++attempts > 1) return
        await world.knex('products').where({ id }).increment('version') // waits until the lock is free
      })
      expect(attempts).to.equal(2)
    })
  })
})
