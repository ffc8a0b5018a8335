/** The net: relays and sweeps of `workers/`, and `src/sale.ts`, cut into atomic effects. */
import {
  adjustStock,
  applyRefund,
  closeLapsed,
  expire,
  markApplied,
  markPublished,
  overdue,
  receive,
  returnUnits,
  setEventStatus,
  takeOpenRefunds,
  takeOutbox,
  undecidedRids,
  verdictOn,
  type EventStatus,
  type OutboxRow,
  type Payload,
  type Topic,
} from './postgres.ts'
import { effect, StoreDown, type Steps, type Work } from './process.ts'
import { readBacklog } from './backlog.ts'
import type { JobStep } from './queues.ts'
import {
  adjust,
  endEntries,
  markQueued,
  release,
  setStatus,
  unitsInState,
  type Claimed,
  type GateStatus,
} from './redis.ts'
import { applyOrdered } from './steps.ts'
import {
  AGED,
  GIVEN_UP_AFTER,
  REFUND_AGAIN,
  SETTLED_AFTER,
  STRAY_AFTER,
  UNDECIDED_AFTER,
  type World,
} from './world.ts'

const OUTBOX_BATCH = 4

/** @param relay names who has the rows in hand */
export function* outboxRelay(world: World, relay: object = {}): Work {
  try {
    const rows = yield* effect('take outbox rows', () => takeOutbox(world.pg, OUTBOX_BATCH, relay))
    const confirmed: OutboxRow[] = []
    for (const row of rows)
      if ((yield* world.publish(row.topic, row.payload)) || world.has('relay-gives-up')) confirmed.push(row)
    if (confirmed.length > 0) yield* effect('mark published', () => markPublished(world.pg, confirmed))
  } finally {
    for (const row of world.pg.outbox) if (row.lockedBy === relay) row.lockedBy = undefined
  }
}

/** Publishes reservations again, and remembers which copies the broker has confirmed. @returns those */
function* republish(world: World, holds: readonly (Claimed & { reservedAt: number })[]): Steps<Set<string>> {
  const confirmed = new Set<string>()
  for (const { rid, user, quantity, reservedAt } of holds)
    if (yield* world.publish('reservation.accepted', { rid, user, quantity, reservedAt })) confirmed.add(rid)
  for (const rid of confirmed) world.republished.set(rid, world.now)
  const rids = [...confirmed]
  if (rids.length > 0) yield* effect('mark queued', () => markQueued(world.redis, rids))
  return confirmed
}

export function* logRelay(world: World): Work {
  const { redis, pg, republished } = world
  const now = world.now
  const entries = yield* effect('read log', () =>
    redis.log
      .filter(({ reservedAt }) => reservedAt < now - AGED)
      .map((entry) => ({ ...entry, state: redis.states.get(entry.rid)?.state })),
  )
  if (entries.length === 0) return
  const verdicts = yield* effect(
    'read verdicts',
    () => new Map(entries.map(({ rid }) => [rid, verdictOn(pg, rid)])),
  )
  const kindOf = (rid: string) => verdicts.get(rid)?.kind ?? 'unknown'
  for (const entry of entries) {
    const verdict = verdicts.get(entry.rid)
    if (verdict?.kind === 'ordered' && verdict.live) yield* applyOrdered(world, verdict)
    else if (verdict?.kind === 'ordered' || verdict?.kind === 'void')
      yield* effect(`release ${entry.rid}`, () => release(redis, entry, verdict.kind === 'ordered'))
  }
  const ended = entries.filter(({ rid }) => kindOf(rid) === 'ordered' || kindOf(rid) === 'void')
  if (ended.length > 0)
    yield* effect('end log entries', () =>
      endEntries(
        redis,
        ended.map(({ id }) => id),
      ),
    )
  const missing = entries.filter(({ rid }) => kindOf(rid) === 'unknown')
  const unsent = missing.filter(({ state }) => state === 'held')
  const strays = missing
    .filter(({ state }) => state === 'queued' || state === undefined)
    .filter(({ rid, reservedAt }) => reservedAt < now - STRAY_AFTER && !republished.has(rid))
  if (strays.length > 0 && (yield* readBacklog(world)) === 0) unsent.push(...strays)
  yield* republish(world, unsent)
}

export function* refundRelay(world: World): Work {
  const rows = yield* effect('take open refunds', () =>
    takeOpenRefunds(world.pg, world.now - REFUND_AGAIN, world.now),
  )
  for (const { id } of rows) {
    yield* effect(`pay out ${id}`, () => world.paidOut.add(id))
    yield* effect(`${id} done`, () => applyRefund(world.pg, id))
  }
}

export function* closeOverdue(world: World): Work {
  const ids = yield* effect('read overdue orders', () => overdue(world.pg, world.now))
  if (ids.length > 0) yield* effect(`close ${ids.join(' ')}`, () => closeLapsed(world.pg, ids, world.now))
}

/** Undecided inbox rows get a job again. */
export function* revive(world: World): Work {
  const rids = yield* effect('read undecided', () => undecidedRids(world.pg, world.now - UNDECIDED_AFTER))
  for (const rid of rids)
    yield* effect(`revive ${rid}`, () =>
      world.jobs.ensure('create-order', rid, { rid, user: '', quantity: 0 }),
    )
}

/** Dead letters and failed jobs: what is owed still is tried again, what is settled goes. */
export function* triage(world: World): Work {
  for (const job of world.jobs.all('failed'))
    if (yield* owes(world, job.step, job.payload))
      yield* effect(`revive ${job.id}`, () =>
        world.jobs.ensure(job.step, keyOf(job.step, job.payload), job.payload),
      )
  for (const message of world.broker.dead.slice()) {
    const { payload } = message
    const step = STEP_OF[message.topic]
    if (yield* owes(world, step, payload)) {
      if (step === 'create-order')
        yield* effect(`inbox ${payload.rid}`, () =>
          receive(world.pg, [{ ...payload, reservedAt: payload.reservedAt ?? 0 }], world.now),
        )
      yield* effect(`revive ${step} ${payload.rid}`, () =>
        world.jobs.ensure(step, keyOf(step, payload), payload),
      )
      if (step !== 'close-order') continue
    }
    yield* effect('dead letter settled', () => world.broker.bury(message))
  }
}

const STEP_OF: Record<Topic, JobStep> = {
  'reservation.accepted': 'create-order',
  'order.created': 'close-order',
  'stock.released': 'release-stock',
}

function keyOf(step: JobStep, { rid, orderId = '' }: Payload): string {
  return step === 'close-order' ? orderId : rid
}

/** Whether a dead letter's work is still to be done. */
function* owes(world: World, step: JobStep, { rid, orderId = '' }: Payload): Steps<boolean> {
  const { pg, redis } = world
  if (step === 'close-order')
    return yield* effect(`read ${orderId}`, () => pg.orders.get(orderId)?.status === 'pending')
  const verdict = yield* effect(`read verdict ${rid}`, () => verdictOn(pg, rid))
  if (step === 'create-order') return verdict.kind === 'unknown' || verdict.kind === 'undecided'
  const gone = verdict.kind === 'void' || (verdict.kind === 'ordered' && !verdict.live)
  return gone && (yield* effect(`read record ${rid}`, () => redis.states.get(rid)?.state !== 'released'))
}

/** `stuckHolds`: published once more, or given up when they are nowhere; void in PostgreSQL before they go back. */
export function* stuckHolds(world: World): Work {
  const { redis, pg, republished } = world
  const askedAt = world.now
  const backlog = world.has('expire-ignores-queues') ? 0 : yield* readBacklog(world)
  const open = yield* effect('read gate', () => redis.gate !== undefined && redis.gate.status !== 'closed')
  if (!open) return
  const taken = yield* effect('read taken units', () =>
    [...redis.states]
      .filter(([, { state }]) => state === 'held' || (state === 'queued' && backlog === 0))
      .filter(([, { reservedAt }]) => reservedAt < world.now - STRAY_AFTER)
      .map(([rid, record]) => ({ rid, ...record })),
  )
  if (taken.length === 0) return
  const missing = yield* effect('read verdicts', () =>
    taken.filter(({ rid }) => verdictOn(pg, rid).kind === 'unknown'),
  )
  const isNowhere = ({ rid }: Claimed) =>
    backlog === 0 && (republished.get(rid) ?? Infinity) <= askedAt - SETTLED_AFTER
  const nowhere = missing.filter(isNowhere)
  const unsent = missing.filter(
    (hold) => !isNowhere(hold) && (hold.state === 'held' || !republished.has(hold.rid)),
  )
  const confirmed = yield* republish(world, unsent)
  const undeliverable = unsent.filter(({ rid, state }) => state === 'held' && !confirmed.has(rid))
  const hopeless = backlog === undefined || backlog === 0 ? [...nowhere, ...undeliverable] : []
  const candidates = world.has('expire-ignores-queues') ? missing : hopeless
  const stuck = candidates.filter(({ reservedAt }) => reservedAt < world.now - GIVEN_UP_AFTER)
  if (stuck.length > 0) yield* expireHolds(world, stuck)
}

type Hold = Claimed & { reservedAt: number }

function* expireHolds(world: World, stuck: readonly Hold[]): Work {
  const { redis, pg } = world
  if (world.has('expire-redis-first'))
    for (const hold of stuck) yield* effect(`release ${hold.rid}`, () => release(redis, hold, false))
  const rids = stuck.map(({ rid }) => rid).join(' ')
  const expired = yield* effect(`expire ${rids}`, () => expire(pg, stuck, world.now))
  for (const hold of stuck)
    if (expired.has(hold.rid)) yield* effect(`release ${hold.rid}`, () => release(redis, hold, false))
}

export const GATE_STATUS: Record<EventStatus, GateStatus> = {
  published: 'open',
  paused: 'paused',
  ended: 'ended',
}

/** `followEvent`. */
export function* follow(world: World): Work {
  yield* followGate(world)
  if (yield* settleEnded(world)) yield* followGate(world)
}

function* followGate(world: World): Work {
  const { redis, pg } = world
  yield* underGateLock(world, function* (lock) {
    const status = GATE_STATUS[yield* effect('read event', () => pg.event.status)]
    const gate = yield* effect('read gate', () => redis.gate?.status)
    if (gate !== undefined && gate !== 'closed' && gate !== status)
      yield* effect(`gate ${status}`, () => setStatus(redis, status))
    const applied: string[] = []
    for (const row of pg.ledger.filter((unapplied) => !unapplied.applied)) {
      const reply = yield* effect(`adjust by ${row.delta}`, () => adjust(redis, row))
      if (reply === 'NOT_READY') break
      applied.push(row.id)
    }
    if (applied.length > 0)
      yield* effect('mark applied', () => commitUnder(world, lock, () => markApplied(pg, applied)))
  })
}

function* settleEnded(world: World): Steps<boolean> {
  const { redis, pg } = world
  const ended = yield* effect('read event', () => pg.event.status === 'ended' && pg.event.available > 0)
  if (!ended) return false
  const gate = yield* effect('read gate', () => redis.gate?.status)
  if (gate !== 'ended' && !world.has('units-returned-while-open')) return false
  const inFlight = yield* effect('count units', () =>
    redis.gate === undefined ? Infinity : unitsInState(redis, 'held', 'queued'),
  )
  if (inFlight > 0) return false
  return yield* effect('return units', () => returnUnits(pg))
}

/** Runs work under the event's advisory lock. One that finds it taken would wait; here it comes again another time. */
export function* underGateLock(world: World, work: (lock: object) => Work): Work {
  const lock = {}
  try {
    const taken = yield* effect('lock gate', () => {
      world.pg.gateLock ??= lock
      return world.pg.gateLock === lock
    })
    if (!taken) throw new StoreDown('the gate is locked')
    yield* work(lock)
  } finally {
    if (world.pg.gateLock === lock) world.pg.gateLock = undefined
  }
}

/** What was done in the transaction that holds the lock is lost with it. */
export function commitUnder(world: World, lock: object, commit: () => void): void {
  if (world.pg.gateLock === lock) commit()
}

export function* changeStatus(world: World, status: EventStatus): Work {
  yield* effect(`event ${status}`, () => setEventStatus(world.pg, status))
  yield* follow(world)
}

export function* changeStock(world: World, id: string, delta: number): Work {
  if (delta < 0) world.lost.promises = true
  yield* effect(`stock ${delta > 0 ? '+' : ''}${delta}`, () => adjustStock(world.pg, { id, delta }))
  yield* follow(world)
}
