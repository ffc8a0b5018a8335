/** The model is the product, second half: the same random transactions on the model and on a real database. */
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { SYSTEM } from '../../src/audit/audit.ts'
import { cancelOrder, closeLapsedOrders } from '../../src/orders/close.ts'
import { decideReservations } from '../../src/orders/decide.ts'
import { expireReservations } from '../../src/orders/expire.ts'
import { receiveReservations } from '../../src/orders/inbox.ts'
import { startPayment } from '../../src/payments/start.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { adjustStock } from '../../src/spike-events/ledger.ts'
import type { ReservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { createSale } from '../factories/sales.ts'
import { settle } from '../support/claims.ts'
import { randomOf, type Random } from '../support/random.ts'
import { accepted, buyerIds, letLapse } from '../support/reservations.ts'
import { createWorld, type World } from '../support/world.ts'
import * as model from './model/postgres.ts'
import type { Postgres } from './model/postgres.ts'

const SEQUENCES = 48
const STEPS = 30
const AT_ONCE = 6
const LIMITS = { lapseLimit: 1, perUserLimit: 2 }
const NOW = 0

/** One event in PostgreSQL and in the model; ids of orders and payments differ, so both are kept in pairs. */
interface Twin {
  eventId: string
  pg: Postgres
  users: readonly string[]
  messages: ReservationAccepted[]
  /** By the id in the model. */
  payments: Map<string, { id: string; amount: number; currency: string }>
}

describe('the model of PostgreSQL', function () {
  this.timeout(180_000)
  let world: World
  let users: string[]
  before(async () => {
    world = await createWorld()
    users = await buyerIds(world, 4)
  })
  after(() => world.close())

  type Step = (twin: Twin, random: Random) => Promise<[real: unknown, model: unknown]>

  const receive: Step = async ({ eventId, pg, messages, users: buyers }, random) => {
    const fresh = () => {
      const message = accepted(eventId, random.pick(buyers), { quantity: 1 + random.below(2) })
      messages.push(message)
      return message
    }
    const count = 1 + random.below(3)
    const known = messages.length
    const batch = Array.from({ length: count }, () =>
      known > 0 && random.chance(0.2) ? (messages[random.below(known)] as ReservationAccepted) : fresh(),
    )
    await receiveReservations(world.knex, batch)
    return [0, model.receive(pg, batch.map(claimedOf), NOW) ?? 0]
  }

  const decide: Step = async ({ pg, messages }, random) => {
    const some = random.shuffled(messages).slice(0, 1 + random.below(4))
    const rids = [...new Set(some.map(({ rid }) => rid))]
    const real = await decideReservations(world.knex, rids)
    return [real.map(wordOf), model.decide(pg, rids, NOW).map(wordOf)]
  }

  const expire: Step = async ({ pg, messages, eventId, users: buyers }, random) => {
    const message = accepted(eventId, random.pick(buyers))
    messages.push(message)
    const some = [message, ...random.shuffled(messages.slice(0, -1)).slice(0, 1)]
    const real = await expireReservations(world.knex, some)
    return [[...real], [...model.expire(pg, some.map(claimedOf), NOW)]]
  }

  const close: Step = async ({ pg }, random) => {
    const orders = random.shuffled([...pg.orders.values()]).slice(0, 2)
    if (orders.length === 0) return [0, 0]
    const ids = await realIds(orders)
    if (random.chance(0.8)) {
      const pending = orders.filter(({ status }) => status === 'pending')
      await letLapse(world.knex, await realIds(pending))
      for (const order of pending) pg.orders.set(order.id, { ...order, expiresAt: NOW - 1 })
    }
    const real = await closeLapsedOrders(world.knex, ids)
    return [
      real.map(({ kind }) => kind),
      model.closeLapsed(
        pg,
        orders.map(({ id }) => id),
        NOW,
      ),
    ]
  }

  const cancel: Step = async ({ pg }, random) => {
    const order = pickOrder(pg, random)
    if (order === undefined) return [0, 0]
    const [id = ''] = await realIds([order])
    return [(await cancelOrder(world.knex, id, order.user)).kind, model.cancel(pg, order.id, NOW)]
  }

  const startPaying: Step = async ({ pg, payments }, random) => {
    const order = pickOrder(pg, random)
    if (order === undefined) return [0, 0]
    const [orderId = ''] = await realIds([order])
    const real = await startPayment(world.knex, { orderId, userId: order.user, provider: 'simulated' })
    const id = model.startPayment(pg, order.id, NOW)
    if (id !== undefined && real.kind === 'started') {
      const { paymentId, amount, currency } = real.payment
      const known = payments.get(id)
      payments.set(id, { id: paymentId, amount, currency })
      return [paymentId, known?.id ?? paymentId]
    }
    return [real.kind === 'started', id !== undefined]
  }

  const callBack: Step = async ({ eventId, pg, payments }, random) => {
    if (payments.size === 0) return [0, 0]
    const [id, payment] = random.pick([...payments])
    const kind = random.chance(0.8) ? 'captured' : 'failed'
    const hasRoom = random.chance(0.7)
    await world.redis.set(spikeKeys(eventId).stock, hasRoom ? 100 : 0)
    const { amount, currency } = payment
    const txn = `txn-${payment.id}`
    const real = await settle(world, { txn_id: txn, payment_id: payment.id, kind, amount, currency })
    const callback = { txn, paymentId: id, kind } as const
    const { kind: word } = model.applyCallback(pg, callback)
    if (word !== 'late') return [real, word]
    const rows: { rid: string }[] = await world
      .knex('reservations')
      .where({ event_id: eventId, request_id: 'late' })
      .select('rid')
    const rid = rows.map((row) => row.rid).find((each) => !pg.reservations.has(each)) ?? 'no new rid'
    return [real, model.settleLate(pg, callback, hasRoom, rid, NOW)]
  }

  const changeStock: Step = async ({ eventId, pg }, random) => {
    const delta = random.pick([-2, -1, 1, 2])
    const real = await adjustStock(world.knex, eventId, { delta, reason: 'test' }, SYSTEM)
    const before = pg.ledger.length
    model.adjustStock(pg, { id: `row-${before}`, delta })
    return [real.kind === 'done', pg.ledger.length > before]
  }

  const CHOICES: readonly Step[] = [
    ...Array<Step>(6).fill(receive),
    ...Array<Step>(6).fill(decide),
    expire,
    ...Array<Step>(3).fill(close),
    cancel,
    ...Array<Step>(3).fill(startPaying),
    ...Array<Step>(4).fill(callBack),
    changeStock,
  ]

  async function realIds(orders: readonly model.OrderRow[]): Promise<string[]> {
    const rids = orders.map(({ rid }) => rid)
    const rows: { id: string; rid: string }[] = await world
      .knex('orders')
      .whereIn('reservation_id', rids)
      .select('id', 'reservation_id as rid')
    const ids = new Map(rows.map((row) => [row.rid, row.id]))
    return rids.map((rid) => ids.get(rid) ?? 'no order')
  }

  async function realState(eventId: string): Promise<unknown> {
    const { knex } = world
    const read = async (sql: string) => Object.values((await knex.raw(sql, { eventId })).rows)
    return {
      event: await read('SELECT granted, available FROM spike_events WHERE id = :eventId'),
      reservations: await read(
        'SELECT rid, status, void_reason AS reason FROM reservations WHERE event_id = :eventId ORDER BY rid',
      ),
      claims: await read(
        'SELECT reservation_id AS rid, live, quantity FROM spike_orders WHERE event_id = :eventId ORDER BY 1',
      ),
      orders: await read(
        `SELECT reservation_id AS rid, status, close_reason AS "closeReason" FROM orders
          WHERE event_id = :eventId ORDER BY 1`,
      ),
      outbox: await read(
        `SELECT topic, coalesce(o.reservation_id, x.key) AS rid
           FROM (SELECT topic, key FROM outbox UNION ALL
                 SELECT topic, other::uuid FROM outbox, jsonb_array_elements_text(payload->'others') AS other) x
           LEFT JOIN orders o ON o.id = x.key
          WHERE coalesce(o.reservation_id, x.key) IN (SELECT rid FROM reservations WHERE event_id = :eventId)
          ORDER BY 1, 2`,
      ),
      payments: await read(
        `SELECT o.reservation_id AS rid, p.status FROM payments p JOIN orders o ON o.id = p.order_id
          WHERE o.event_id = :eventId ORDER BY 1, 2`,
      ),
      refunds: await read(
        `SELECT o.reservation_id AS rid, r.reason FROM refunds r JOIN orders o ON o.id = r.order_id
          WHERE o.event_id = :eventId ORDER BY 1, 2`,
      ),
    }
  }

  async function play(seed: number): Promise<void> {
    const random = randomOf(seed)
    const granted = 1 + random.below(5)
    const eventId = await createSale(world, { stock: granted, ...LIMITS })
    const pg = model.openPostgres({ granted, ...LIMITS, paymentWindow: 300 })
    const twin: Twin = { eventId, pg, users, messages: [], payments: new Map() }
    for (let i = 0; i < STEPS; i++) {
      const [real, modelled] = await random.pick(CHOICES)(twin, random)
      expect(real, `result ${i} of seed ${seed}`).to.deep.equal(modelled)
      expect(await realState(eventId), `state ${i} of seed ${seed}`).to.deep.equal(stateOf(pg))
    }
  }

  it(`decides, closes and settles like the real one in ${SEQUENCES} random sequences`, async () => {
    for (let first = 0; first < SEQUENCES; first += AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => play(first + i)))
  })
})

function claimedOf({ rid, user_id: user, quantity }: ReservationAccepted) {
  return { rid, user, quantity, reservedAt: NOW }
}

function pickOrder(pg: Postgres, random: Random): model.OrderRow | undefined {
  return pg.orders.size === 0 ? undefined : random.pick([...pg.orders.values()])
}

/** Of a verdict, what both have. */
function wordOf(verdict: { kind: string; reason?: string; paid?: boolean; live?: boolean }): unknown {
  const { kind, reason, paid, live } = verdict
  return { kind, reason, paid, live }
}

function stateOf(pg: Postgres): unknown {
  const { event, reservations, claims, orders, outbox, payments, refunds } = pg
  const ridOf = (orderId: string) => model.one(orders, orderId).rid
  return {
    event: [{ granted: event.granted, available: event.available }],
    reservations: sorted(
      [...reservations.values()].map(({ rid, status, reason = null }) => ({ rid, status, reason })),
    ),
    claims: sorted([...claims.values()].map(({ rid, live, quantity }) => ({ rid, live, quantity }))),
    orders: sorted(
      [...orders.values()].map(({ rid, status, closeReason = null }) => ({ rid, status, closeReason })),
    ),
    outbox: sorted(
      outbox.map(({ topic, key }) => ({ topic, rid: topic === 'order.created' ? ridOf(key) : key })),
    ),
    payments: sorted([...payments.values()].map(({ orderId, status }) => ({ rid: ridOf(orderId), status }))),
    refunds: sorted([...refunds.values()].map(({ orderId, reason }) => ({ rid: ridOf(orderId), reason }))),
  }
}

/** In the order of all their columns, as they are. */
function sorted<T extends object>(rows: readonly T[]): T[] {
  const name = (row: T) => Object.values(row).join(' ')
  return rows.toSorted((a, b) => (name(a) < name(b) ? -1 : 1))
}
