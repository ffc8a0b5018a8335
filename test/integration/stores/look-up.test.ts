import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { deadLetterJob } from '../../../src/contracts/jobs/dead-letter.ts'
import { lookUp, type LookUpDependencies } from '../../../src/look-up.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { createQueueRedis, createRedis } from '../../../src/platform/redis/client.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { order } from '../../support/buying.ts'
import { captureOf, lapse, orderUnits, reserveUnits, settle } from '../../support/claims.ts'
import { createClient, type Client } from '../../support/http.ts'
import { expectInOrder, lookUpDependencies, one, words } from '../../support/looking-up.ts'
import { buyerIds, receive, type Ordered } from '../../support/reservations.ts'
import { atRest } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('looking up a purchase', () => {
  let world: World
  let api: Client
  let deps: LookUpDependencies
  let close: () => Promise<void>

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    ;({ deps, close } = lookUpDependencies(world))
  })
  after(async () => {
    await close()
    await world.close()
  })

  const look = (text: string) => lookUp(deps, text)

  async function buyer(): Promise<LoadBuyer> {
    const [made] = await createBuyers(world, 1)
    if (made === undefined) throw new Error('no buyer')
    return made
  }

  it('shows the close and the release of an order that lapses', async () => {
    const eventId = await createSale(world, { paymentWindowS: 1 })
    const { rid } = await order(api, eventId, await buyer())
    await until(
      'its release',
      async () => (await deps.queues['release-stock'].getJob(`release-stock-${rid}`))?.finishedOn,
    )
    await atRest(world, eventId)
    const purchase = one(await look(rid))
    expectInOrder(purchase, [
      'http requested',
      'reserve reserved',
      'create-order decided',
      'close-order job_added',
      'close-order closed',
      'release-stock job_added',
      'release-stock job_started',
      'release-stock job_completed',
    ])
    expect(purchase.standing).to.deep.equal({ word: 'closed', reason: 'lapsed' })
    expect(purchase.reservations[0]?.record).to.include({ state: 'released', reason: 'lapsed' })
  })

  it('shows both reservations of an order that late money has bought again', async () => {
    const eventId = await createSale(world)
    const [late] = (await orderUnits(world, eventId, 1)) as [Ordered]
    const money = await captureOf(world, late)
    await lapse(world, late)
    expect(await settle(world, money)).to.equal('paid_late')
    await atRest(world, eventId)
    const purchase = one(await look(late.orderId))
    expect(purchase.reservations).to.have.length(2)
    expect(purchase.reservations[0]?.rid).to.equal(late.rid)
    expect(words(purchase).filter((word) => word.endsWith(' reserved'))).to.deep.equal([
      'reserve reserved',
      'payment reserved',
    ])
    const again = purchase.reservations[1]?.rid ?? ''
    expect(one(await look(again)).name).to.deep.equal(purchase.name)
  })

  it('says why a reservation is void', async () => {
    const eventId = await createSale(world)
    const [userId] = (await buyerIds(world, 1)) as [string]
    const rids = await receive(world, eventId, [userId, userId])
    await decideReservations(world.knex, rids)
    const purchase = one(await look(rids[1] ?? ''))
    expect(purchase.standing).to.deep.equal({ word: 'void', reason: 'duplicate' })
    const verdict = purchase.timeline.find(({ what }) => what === 'decided')
    expect(verdict?.detail).to.include({ verdict: 'void', reason: 'duplicate' })
  })

  it('finds an order that is of no sale', async () => {
    const who = await buyer()
    const product = await createProduct(world)
    const reply = await api<{ id: string }>('POST', '/orders', {
      token: who.access_token,
      json: { items: [{ product_id: product, quantity: 2 }] },
      headers: { 'idempotency-key': uuidv7() },
    })
    expect(reply.status, reply.text).to.equal(201)
    for (const name of [reply.body.data.id, who.email]) {
      const purchase = one(await look(name))
      expect(purchase).to.include({ eventId: null, quantity: 2 })
      expectInOrder(purchase, ['http ordered', 'publish told'])
      expect(purchase.jobs.map(({ id }) => id)).to.deep.equal([`close-order-${reply.body.data.id}`])
    }
  })

  it('finds what a dead letter is about, and shows dead letters of a purchase', async () => {
    const eventId = await createSale(world)
    const { rid, orderId } = await order(api, eventId, await buyer())
    const letters = {
      'job-close-order-1': { source: 'job', origin: 'close-order', payload: { order_id: orderId } },
      'message-1': { source: 'message', origin: 'q', payload: JSON.stringify({ v: 1, rid, user_id: 'x' }) },
      'message-2': { source: 'message', origin: 'q', payload: 'no JSON <b>' },
    }
    for (const [id, letter] of Object.entries(letters)) {
      const data = {
        ...letter,
        id,
        reason: 'planted',
        attempts: 3,
        replays: 0,
        dead_at: new Date().toISOString(),
      }
      await deps.queues['dead-letter'].add('dead-letter', data, { jobId: `dead-letter-${id}` })
    }
    for (const id of ['job-close-order-1', 'message-1'])
      expect(one(await look(`dead-letter-${id}`)).name, id).to.deep.equal({ rid, orderId })
    expect((await look('dead-letter-message-2')).kind).to.equal('nothing')
    const dead = one(await look(rid)).timeline.filter(({ what }) => what === 'dead_letter')
    expect(dead.map(({ step, detail }) => [step, detail.reason])).to.have.deep.members([
      ['close-order', 'planted'],
      ['bridge', 'planted'],
    ])
    for (const id of Object.keys(letters))
      await deps.queues['dead-letter'].remove(deadLetterJob.jobId({ id } as never))
  })

  it('shows what the other stores know while one is silent', async () => {
    const eventId = await createSale(world)
    const { rid } = await order(api, eventId, await buyer())
    const redis = createRedis('redis://127.0.0.1:1', 'nowhere', world.log)
    const queueRedis = createQueueRedis('redis://127.0.0.1:1', 'nowhere', world.log)
    const nowhere = lookUpDependencies({ ...world, redis, queueRedis })
    try {
      const purchase = one(await lookUp(nowhere.deps, rid))
      expect(purchase.silent).to.have.members(['redis', 'bullmq'])
      expect(purchase.standing.word).to.equal('pending')
      expect(words(purchase)).to.include('create-order decided')
    } finally {
      await nowhere.close().catch(() => undefined)
      for (const client of [redis, queueRedis]) client.disconnect()
    }
  })

  it('lists the first fifty purchases of a request, and says that there are more', async () => {
    const eventId = await createSale(world)
    const requestId = `request-${uuidv7()}`
    await receive(world, eventId, await buyerIds(world, 51), { request_id: requestId })
    const found = await look(requestId)
    if (found.kind !== 'several') throw new Error(found.kind)
    expect(found.purchases).to.have.length(50)
    expect(found.hasMore).to.equal(true)
  })
})

describe('the look-up without workers', () => {
  let world: World
  let deps: LookUpDependencies
  let close: () => Promise<void>

  before(async () => {
    world = await createWorld()
    ;({ deps, close } = lookUpDependencies(world))
  })
  after(async () => {
    await close()
    await world.close()
  })

  it('finds a reservation that only Redis knows: by its id, its buyer and its request', async () => {
    const eventId = await createSale(world)
    const [claim] = await reserveUnits(world, eventId, 1)
    if (claim === undefined) throw new Error('nothing was reserved')
    const { email } = await world.knex('users').where('id', claim.userId).first('email')
    for (const name of [claim.rid, `create-order-${claim.rid}`, email, 'test']) {
      const purchase = one(await lookUp(deps, name))
      expect(purchase.name, name).to.deep.equal({ rid: claim.rid, orderId: null })
      expect(purchase.standing).to.deep.equal({ word: 'reserving', reason: undefined })
      expect(purchase).to.include({ eventId, quantity: 1, requestId: 'test', products: 'Test product' })
      expectInOrder(purchase, ['http requested', 'reserve reserved'])
    }
    await world.scripts.markQueued([{ eventId, rids: [claim.rid] }])
    expect(one(await lookUp(deps, claim.rid)).standing.word).to.equal('queued')
    await world.redis.hdel(`{spike:${eventId}}:states`, claim.rid)
    expect((await lookUp(deps, claim.rid)).kind).to.equal('nothing')
  })

  it('reads no table as a whole', async () => {
    const eventId = await createSale(world, { stock: 20 })
    const [ordered] = (await orderUnits(world, eventId, 1)) as [Ordered]
    await captureOf(world, ordered)
    const { email } = await world.knex('users').where('id', ordered.userId).first('email')
    await world.knex.raw(FILL_SQL, { eventId, userId: ordered.userId, rows: 5_000 })
    await world.knex.raw(`ANALYZE`)
    const queries: { sql: string; bindings: unknown[] }[] = []
    const note = (query: { sql: string; bindings: unknown[] }) => queries.push(query)
    world.knex.on('query', note)
    for (const name of [ordered.rid, ordered.orderId, 'test', email, `close-order-${ordered.orderId}`])
      expect((await lookUp(deps, name)).kind, name).to.be.oneOf(['one', 'several'])
    world.knex.removeListener('query', note)
    expect(queries.length).to.be.above(20)
    for (const { sql, bindings } of queries) {
      const { rows } = await world.knex.raw(`EXPLAIN ${sql.replaceAll(/\$\d+/g, '?')}`, bindings as string[])
      const plan = rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n')
      const whole = new RegExp(`Seq Scan on (${FILLED.join('|')})\\b`)
      expect(plan, sql).to.not.match(whole)
    }
  })
})

const FILLED = ['users', 'reservations', 'orders', 'spike_orders', 'outbox', 'payments', 'order_items']

/** Rows of many other buyers, and some void reservations of this one. */
const FILL_SQL = `
  WITH numbers AS (SELECT n, gen_random_uuid() AS id FROM generate_series(1, :rows) n), buyers AS (
    INSERT INTO users (id, email, password_hash) SELECT id, id || '@spike.test', '' FROM numbers RETURNING id
  ), reserved AS (
    INSERT INTO reservations (rid, event_id, user_id, quantity, epoch, reserved_at, request_id, status, void_reason, decided_at)
    SELECT gen_random_uuid(), :eventId, CASE WHEN n <= 3 THEN :userId ELSE id END, 1, 1, now(), 'r' || n,
           'void', 'duplicate', now()
      FROM numbers
  ), ordered AS (
    INSERT INTO orders (id, user_id, amount, currency, expires_at)
    SELECT id, id, 1, 'CNY', now() FROM numbers
  ), items AS (
    INSERT INTO order_items (id, order_id, product_id, quantity, unit_price)
    SELECT gen_random_uuid(), numbers.id, e.product_id, 1, 1 FROM numbers, spike_events e WHERE e.id = :eventId
  ), claimed AS (
    INSERT INTO spike_orders (reservation_id, event_id, user_id, order_id, quantity, live)
    SELECT id, :eventId, id, id, 1, false FROM numbers
  ), paying AS (
    INSERT INTO payments (id, order_id, provider, amount, currency, status)
    SELECT id, id, 'simulated', 1, 'CNY', 'failed' FROM numbers
  )
  INSERT INTO outbox (topic, key, payload) SELECT 'stock.released', id, '{}' FROM numbers`
