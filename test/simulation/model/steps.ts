/** The way of a purchase: `src/buy.ts`, the bridge, the three workers and `src/pay.ts`, cut into atomic effects. */
import {
  applyCallback,
  cancel,
  closeLapsed,
  decide,
  expire,
  one,
  receive,
  settleLate,
  startPayment,
  verdictOn,
  type Callback,
  type Verdict,
} from './postgres.ts'
import { effect, leftToTheNet, StoreDown, type Steps, type Work } from './process.ts'
import type { Delivery, JobRun } from './queues.ts'
import { confirm, markPaid, markQueued, release, reserve, type Claimed, type ReserveReply } from './redis.ts'
import { readBacklog } from './backlog.ts'
import { GIVEN_UP_AFTER, type World } from './world.ts'

/** Steps 1 and 2. */
export function* buy(world: World, user: string, quantity: number): Work {
  const rid = world.newRid()
  const claim = { rid, user, quantity, reservedAt: world.now }
  world.asked.set(rid, claim)
  const reply = yield* take(world, claim)
  if (reply.kind !== 'accepted') return
  const confirmed = yield* world.publish('reservation.accepted', claim)
  if (!confirmed && world.has('restock-on-publish-timeout')) {
    yield* effect(`give back ${rid}`, () => release(world.redis, claim, false))
    return
  }
  world.told.set(rid, { word: confirmed ? 'queued' : 'reserving', at: world.now })
  if (confirmed) yield* effect(`mark queued ${rid}`, () => markQueued(world.redis, [rid]))
}

function* take(world: World, claim: Claimed): Steps<ReserveReply> {
  const early = world.has('decrement-first') && world.redis.gate?.status === 'open'
  if (early) yield* effect(`decrement for ${claim.rid}`, () => (world.redis.stock -= claim.quantity))
  return yield* effect(`reserve ${claim.rid} for ${claim.user}, ${claim.quantity}`, () => {
    if (early) world.redis.stock += claim.quantity
    return reserve(world.redis, claim, world.now)
  })
}

/** A client sends its script again by itself, long after the first time. */
export function* resend(world: World, claim: Claimed): Work {
  yield* effect(`reserve ${claim.rid} again`, () => reserve(world.redis, claim, world.now))
}

/** `GET /reservations/:rid`: a rid that no store knows any more gets its final word. */
export function* track(world: World, rid: string): Work {
  const { redis, pg } = world
  const claim = world.asked.get(rid)
  const known = yield* effect(`read record ${rid}`, () => redis.states.has(rid))
  if (claim === undefined || known) return
  const received = yield* effect(`read verdict ${rid}`, () => verdictOn(pg, rid).kind !== 'unknown')
  if (received) return
  const lost = yield* effect('read gate', () => redis.gate !== undefined && redis.gate.status !== 'closed')
  if (!lost || (yield* effect(`read record ${rid}`, () => redis.states.has(rid)))) return
  if (claim.reservedAt >= world.now - GIVEN_UP_AFTER || (yield* readBacklog(world)) !== 0) return
  // Nobody knows how many units it was.
  yield* effect(`expire ${rid}, lost`, () => expire(pg, [{ ...claim, quantity: 1 }], world.now))
}

/** Step 3: durable on the other side, then acked. */
export function* bridge(world: World, deliveries: readonly Delivery[]): Work {
  const [first] = deliveries
  if (first === undefined) return
  try {
    const rids = deliveries.map(({ payload }) => payload.rid).join(' ')
    if (world.has('ack-before-inbox')) yield* effect(`ack ${rids}`, () => world.broker.ack(deliveries))
    if (first.topic === 'reservation.accepted')
      yield* effect(`inbox ${rids}`, () =>
        receive(
          world.pg,
          deliveries.map(({ payload }) => ({ ...payload, reservedAt: payload.reservedAt ?? 0 })),
          world.now,
        ),
      )
    for (const { topic, payload } of deliveries) {
      const { rid, orderId = '', dueAt = 0 } = payload
      const name = `${topic} ${rid} to its job`
      if (topic === 'reservation.accepted')
        yield* effect(name, () => world.jobs.add('create-order', rid, payload))
      else if (topic === 'order.created')
        yield* effect(name, () => world.jobs.add('close-order', orderId, payload, dueAt))
      else yield* effect(name, () => world.jobs.add('release-stock', rid, payload))
    }
    yield* effect(`ack ${rids}`, () => world.broker.ack(deliveries))
  } finally {
    world.broker.requeue(deliveries)
  }
}

/** Step 4: jobs that run together are decided in one transaction. */
export function* createOrders(world: World, runs: readonly JobRun[]): Work {
  try {
    const rids = runs.map(({ job }) => job.payload.rid)
    if (world.has('release-before-void-commits')) yield* releaseHopeless(world, rids)
    const verdicts = yield* effect(`decide ${rids.join(' ')}`, () => decide(world.pg, rids, world.now))
    for (const verdict of verdicts) yield* leftToTheNet(applyOrdered(world, verdict))
    for (const [i, verdict] of verdicts.entries()) {
      const run = runs[i] as JobRun
      try {
        if (verdict.kind === 'ordered' && verdict.paid) yield* applyOrdered(world, verdict)
        yield* endJob(world, run, verdict.kind === 'unknown' ? 'failed' : 'completed')
      } catch (error) {
        if (!(error instanceof StoreDown)) throw error
      }
    }
  } finally {
    for (const { job, run } of runs) world.jobs.end({ job, run }, 'waiting')
  }
}

/** The planted bug: who can't win is released before it is written down. */
function* releaseHopeless(world: World, rids: readonly string[]): Work {
  for (const rid of rids) {
    const row = world.pg.reservations.get(rid)
    if (row?.status === 'undecided' && world.pg.event.available < row.quantity)
      yield* effect(`release ${rid}`, () => release(world.redis, row, false))
  }
}

/** Tells Redis of an order whose claim is live. */
export function* applyOrdered(world: World, verdict: Verdict): Work {
  if (verdict.kind !== 'ordered' || !verdict.live) return
  yield* effect(`confirm ${verdict.rid}`, () => confirm(world.redis, verdict, world.now))
  if (verdict.paid) yield* effect(`mark paid ${verdict.rid}`, () => markPaid(world.redis, verdict.rid))
}

/** Step 5. */
export function* closeOrders(world: World, runs: readonly JobRun[]): Work {
  try {
    const ids = runs.map(({ job }) => job.payload.orderId ?? '')
    const closings = yield* effect(`close ${ids.join(' ')}`, () => closeLapsed(world.pg, ids, world.now))
    for (const [i, closing] of closings.entries()) {
      const run = runs[i] as JobRun
      const later = closing === 'not_due'
      yield* endJob(
        world,
        run,
        later ? 'waiting' : 'completed',
        later ? one(world.pg.orders, ids[i] ?? '').expiresAt : 0,
      )
    }
  } finally {
    for (const { job, run } of runs) world.jobs.end({ job, run }, 'waiting')
  }
}

/** Step 6: PostgreSQL is asked whether it has let go of the units. */
export function* releaseStock(world: World, run: JobRun): Work {
  const { rid } = run.job.payload
  try {
    const hold = yield* effect(`read hold ${rid}`, () => holdOf(world, rid))
    if (hold === undefined) {
      yield* endJob(world, run, 'failed')
      return
    }
    const reply = yield* effect(`release ${rid}`, () => release(world.redis, hold, hold.lapsed))
    if (reply === 'NOT_READY') throw new StoreDown('the event has no gate')
    yield* endJob(world, run, 'completed')
  } finally {
    world.jobs.end(run, 'waiting')
  }
}

/** `holdsOf`: undefined unless PostgreSQL has let go of it. */
function holdOf({ pg }: World, rid: string): (Claimed & { lapsed: boolean }) | undefined {
  const verdict = verdictOn(pg, rid)
  const gone = verdict.kind === 'void' || (verdict.kind === 'ordered' && !verdict.live)
  return gone ? { ...one(pg.reservations, rid), lapsed: verdict.kind === 'ordered' } : undefined
}

function endJob(world: World, run: JobRun, state: 'completed' | 'failed' | 'waiting', dueAt = 0): Work {
  return effect(`${run.job.id} ${state}`, () => world.jobs.end(run, state, dueAt))
}

/** The provider takes the money; it tells us when and as often as it likes. */
export function* pay(world: World, orderId: string, captured: boolean): Work {
  const paymentId = yield* effect(`start payment of ${orderId}`, () =>
    startPayment(world.pg, orderId, world.now),
  )
  if (paymentId === undefined) return
  world.callbacks.push({ txn: `txn-${paymentId}`, paymentId, kind: captured ? 'captured' : 'failed' })
}

/** `settlePayment`: captured money is a paid order or a refund. */
export function* settle(world: World, callback: Callback): Work {
  const { txn, kind } = callback
  const result = yield* effect(`${txn} ${kind}`, () => applyCallback(world.pg, callback))
  if (result.kind === 'paid')
    yield* leftToTheNet(effect(`mark paid ${result.rid}`, () => markPaid(world.redis, result.rid)))
  if (result.kind !== 'late') return
  yield* underLateLock(world, (lock) => settleLocked(world, callback, lock))
}

function* settleLocked(world: World, callback: Callback, lock: object): Work {
  const { txn } = callback
  const rid = world.newRid()
  const units = unitsOf(world, callback)
  const room = yield* leftAsNoRoom(effect(`${txn} asks for room`, () => freeUnits(world) >= units))
  const forgets = world.has('late-money-forgets-the-earlier') && world.redis.stock >= units
  const hasRoom = room || forgets || world.has('late-money-takes-held-unit')
  if (room) world.lateUnderWay++
  try {
    yield* effect(`${txn} is late`, () => {
      if (world.pg.lateLock !== lock) throw new StoreDown('the transaction is gone')
      if (settleLate(world.pg, callback, hasRoom, rid, world.now) === 'paid_late')
        world.late.set(rid, { hadRoom: room })
    })
  } finally {
    if (room) world.lateUnderWay--
  }
}

/** What Redis has left, less what late money has bought and Redis has not adopted yet. */
function freeUnits({ redis, pg, late }: World): number {
  const unknown = [...late.keys()].filter((rid) => !redis.states.has(rid))
  return unknown.reduce((free, rid) => free - (pg.claims.get(rid)?.quantity ?? 0), redis.stock)
}

/** One payment of the event at a time; one that would wait comes again, as the provider's callbacks do. */
function* underLateLock(world: World, work: (lock: object) => Work): Work {
  const lock = {}
  try {
    const taken = yield* effect('lock late money', () => {
      world.pg.lateLock ??= lock
      return world.pg.lateLock === lock
    })
    if (!taken) throw new StoreDown('late money is locked')
    yield* work(lock)
  } finally {
    if (world.pg.lateLock === lock) world.pg.lateLock = undefined
  }
}

function* leftAsNoRoom(work: Steps<boolean>): Steps<boolean> {
  try {
    return yield* work
  } catch (error) {
    if (error instanceof StoreDown) return false
    throw error
  }
}

function unitsOf({ pg }: World, { paymentId }: Callback): number {
  const orderId = pg.payments.get(paymentId)?.orderId
  return [...pg.claims.values()].find((claim) => claim.orderId === orderId)?.quantity ?? 0
}

export function* cancelOrder(world: World, orderId: string): Work {
  yield* effect(`cancel ${orderId}`, () => cancel(world.pg, orderId, world.now))
}
