import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { bearer, dataOf, errorOf } from '../../tools/lib/api-client.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { killAndWait, openFleet, playSale, tellKilled, type Fleet, type Played } from '../support/fleet.ts'
import { judgeAtRest } from '../support/stage.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const APIS = 4
const WORKERS = 3
const UNITS = 40

describe(`${APIS} API processes and ${WORKERS} workers processes at once`, function () {
  this.timeout(120_000)
  let world: World
  let fleet: Fleet
  let productId: string
  let eventId: string
  let played: Played
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    fleet = await openFleet(world, { apis: APIS, workers: WORKERS })
    productId = await createProduct(world, UNITS)
    eventId = await createSale(world, { productId, stock: UNITS, paymentWindowS: 3 })
  })
  after(async () => {
    await fleet.close()
    await world.close()
  })

  it('keep every promise when one of each is killed in mid-sale', async () => {
    const killed = [fleet.apis[1], fleet.workers[1]].filter((kept) => kept !== undefined)
    let backAfter: number[] = []
    played = await playSale(world, fleet, { eventId, units: UNITS, buyers: 150 }, async () => {
      backAfter = await Promise.all(killed.map(killAndWait))
    })
    const told = killed.map(({ name }, i) => `${name} (SIGKILL, back after ${backAfter[i]} ms)`)
    tellKilled(told.join(', '), played)
    expect(played.judgement.broken).to.deep.equal([])
    expect(played.judgement.orders, 'units were sold again').to.be.above(UNITS)
    for (const kept of [...fleet.apis, ...fleet.workers])
      expect(kept.counts.deaths, kept.name).to.equal(killed.includes(kept) ? 1 : 0)
  })

  it('do nothing twice: every order, closing, release and refund is there once', async () => {
    const counts = await until('the refunds to be done', async () => {
      const found = await countEffects(world, eventId)
      return found.refunds === found.refunded && found
    })
    expect(counts.ended, 'orders lapsed, or were cancelled').to.be.above(0)
    expect(counts).to.include({
      created: counts.orders,
      released: counts.ended + counts.voids,
      captured: counts.paid + counts.refunds,
      unpublished: 0,
    })
  })

  it('give a buyer the same answer, whichever of them is asked', async () => {
    const tokens = new Map(played.buyers.map((buyer) => [buyer.user_id, buyer.access_token]))
    expect(played.crowd.told.size).to.be.above(UNITS)
    for (const { rid, userId } of played.crowd.told.values()) {
      const headers = bearer(tokens.get(userId) ?? '')
      const ask = { headers, params: { path: { rid } } }
      const [first, ...others] = await Promise.all(
        fleet.shops.map((shop) => dataOf(shop.GET('/api/v1/reservations/{rid}', ask))),
      )
      for (const other of others) expect(other).to.deep.equal(first)
    }
  })

  it('end a sale once, and put its units back once, whoever of them comes first', async () => {
    const ended = { action: 'spike-event.end', target: eventId }
    await world.knex('spike_events').where({ id: eventId }).update({ end_at: world.knex.fn.now() })
    const { paid } = await countEffects(world, eventId)
    await until('the sweep of one of them to end the sale', async () => {
      const { stock } = await world.knex('inventory').where({ product_id: productId }).first('stock')
      return stock === UNITS - paid
    })
    expect(await world.knex('audit_log').where(ended)).to.have.length(1)
    expect((await judgeAtRest(world, eventId, [])).facts.ledger.granted).to.equal(paid)
  })

  it('sell the last unit once to buyers of all of them', async () => {
    const lastUnit = await createSale(world, { stock: 1 })
    const buyers = await createBuyers(world, 100)
    const answers = await Promise.all(
      buyers.map(async ({ access_token: token }) => {
        const ask = { headers: bearer(token), params: { path: { id: lastUnit } }, body: {} }
        const result = await fleet.shop.POST('/api/v1/spike-events/{id}/orders', ask)
        return result.data?.data.reservation_id ?? errorOf(result)
      }),
    )
    const winners = buyers.filter((_buyer, i) => answers[i] !== 'ALL_HELD')
    expect(winners, `${new Set(answers).size} kinds of answers`).to.have.length(1)
    const orders = await until('its order', async () => {
      const found: string[] = await world.knex('orders').where({ event_id: lastUnit }).pluck('id')
      return found.length > 0 && found
    })
    const headers = bearer(winners[0]?.access_token ?? '')
    await dataOf(
      fleet.shop.POST('/api/v1/orders/{id}/cancel', { headers, params: { path: { id: orders[0] ?? '' } } }),
    )
    const rids = answers.filter((answer) => answer !== 'ALL_HELD')
    const { facts, invariants } = await judgeAtRest(world, lastUnit, rids)
    expect(invariants.filter(({ ok }) => !ok)).to.deep.equal([])
    expect(facts.ledger.ordered).to.equal(1)
  })

  it('make one order of a request that reached all of them with the same key', async () => {
    const { id: userId, token } = await createAccount(world)
    const product = await createProduct(world, 10)
    const ask = {
      headers: bearer(token),
      params: { header: { 'Idempotency-Key': randomUUID() } },
      body: { items: [{ product_id: product, quantity: 1 }] },
    }
    const results = await Promise.all(fleet.shops.map((shop) => shop.POST('/api/v1/orders', ask)))
    const orders: string[] = await world.knex('orders').where({ user_id: userId }).pluck('id')
    expect(orders).to.have.length(1)
    for (const result of results)
      expect(result.data?.data.id ?? errorOf(result)).to.be.oneOf([orders[0], 'IDEMPOTENCY_IN_FLIGHT'])
  })

  it('know at once what another one has written of a product', async () => {
    const { token } = await createAccount(world, 'admin')
    const product = await createProduct(world)
    const params = { path: { id: product } }
    const readAll = () =>
      Promise.all(fleet.shops.map((shop) => dataOf(shop.GET('/api/v1/products/{id}', { params }))))
    expect((await readAll()).map(({ price }) => price)).to.deep.equal(Array(APIS).fill(1_000))
    for (const [i, shop] of fleet.shops.entries()) {
      const price = 2_000 + i
      const change = { params: { ...params, header: { 'If-Match': '*' } }, body: { price } }
      await dataOf(shop.PATCH('/api/v1/products/{id}', { headers: bearer(token), ...change }))
      expect((await readAll()).map((read) => read.price)).to.deep.equal(Array(APIS).fill(price))
    }
  })

  it('refuse a token that another one has revoked', async () => {
    const admin = await createAccount(world, 'admin')
    const { id, token } = await createAccount(world)
    const statuses = () =>
      Promise.all(
        fleet.shops.map(
          async (shop) => (await shop.GET('/api/v1/orders', { headers: bearer(token) })).response.status,
        ),
      )
    expect(await statuses()).to.deep.equal(Array(APIS).fill(200))
    const disable = { headers: bearer(admin.token), params: { path: { id } }, body: { disabled: true } }
    await dataOf(fleet.shop.PATCH('/api/v1/users/{id}', disable))
    await until('all of them to know', async () => (await statuses()).every((status) => status === 401))
  })
})

/**
 * What the steps have done for an event, each counted where it leaves its trace. An order whose late money has bought its units
 * again is not closed any more; the claim that it had has ended all the same.
 */
async function countEffects(world: World, eventId: string) {
  const { rows } = await world.knex.raw(
    `WITH mine AS (SELECT id, status FROM orders WHERE event_id = :eventId),
          voided AS (SELECT rid FROM reservations WHERE event_id = :eventId AND status = 'void'),
          facts AS (SELECT topic, payload, published_at FROM outbox
                     WHERE key IN (SELECT id FROM mine) OR key IN (SELECT rid FROM reservations WHERE event_id = :eventId)),
          money AS (SELECT e.kind FROM payment_events e JOIN payments p ON p.id = e.payment_id
                     WHERE p.order_id IN (SELECT id FROM mine))
     SELECT (SELECT count(*) FROM mine) AS orders,
            (SELECT count(*) FROM mine WHERE status = 'paid') AS paid,
            (SELECT count(*) FROM spike_orders WHERE event_id = :eventId AND NOT live) AS ended,
            (SELECT count(*) FROM voided) AS voids,
            (SELECT coalesce(sum(1 + coalesce(jsonb_array_length(payload -> 'others'), 0)), 0) FROM facts
              WHERE topic = 'order.created') AS created,
            (SELECT count(*) FROM facts WHERE topic = 'stock.released') AS released,
            (SELECT count(*) FROM facts WHERE published_at IS NULL) AS unpublished,
            (SELECT count(*) FROM money WHERE kind = 'captured') AS captured,
            (SELECT count(*) FROM money WHERE kind = 'refunded') AS refunded,
            (SELECT count(*) FROM refunds WHERE order_id IN (SELECT id FROM mine)) AS refunds`,
    { eventId },
  )
  return rows[0] as Record<
    | 'orders'
    | 'ended'
    | 'paid'
    | 'voids'
    | 'created'
    | 'released'
    | 'unpublished'
    | 'captured'
    | 'refunded'
    | 'refunds',
    number
  >
}
