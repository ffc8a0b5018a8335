/** The invariants of docs/architecture.md over the model: some hold after every effect, all of them at rest. */
import type { ClaimRow, Postgres, ReservationRow } from './model/postgres.ts'
import { TOPICS } from './model/queues.ts'
import { unitsInState, type StockRedis, type UnitRecord } from './model/redis.ts'
import { GATE_STATUS } from './model/net.ts'
import { Violation } from './model/violation.ts'
import { STRAY_AFTER, type World } from './model/world.ts'

/** Watches a world after every effect; remembers what may never change again. */
export class Checker {
  readonly #world: World
  readonly #verdicts = new Map<string, string>()
  readonly #paid = new Set<string>()
  readonly #queuedInTime = new Set<string>()
  #pgWrites = -1
  #redisWrites = -1
  #upheavals = 0
  #runId = 1
  #returned = 0
  #states = new Map<string, UnitRecord>()
  #holders = new Map<string, string>()

  constructor(world: World) {
    this.#world = world
  }

  afterEffect(): void {
    const { redis, pg } = this.#world
    if (pg.writes !== this.#pgWrites) {
      this.#pgWrites = pg.writes
      checkLedger(pg)
      this.#checkReturns()
      this.#checkVerdicts()
      this.#checkMoney()
    }
    if (redis.writes !== this.#redisWrites) {
      this.#redisWrites = redis.writes
      checkUnits(redis)
      if (redis.upheavals === this.#upheavals) this.#checkTransitions()
      else if (redis.runId === this.#runId) this.#checkSwap()
      this.#upheavals = redis.upheavals
      this.#runId = redis.runId
      this.#states = new Map(redis.states)
      this.#holders = new Map(redis.holders)
    }
  }

  /** One verdict a rid. */
  #checkVerdicts(): void {
    for (const row of this.#world.pg.reservations.values()) {
      const { rid, status, reason } = row
      const before = this.#verdicts.get(rid)
      const verdict = `${status} ${reason ?? ''}`
      if (before === verdict) continue
      if (before !== undefined)
        throw new Violation('one verdict a rid', `${rid} was ${before} and is ${verdict} now`)
      if (status === 'undecided') continue
      this.#verdicts.set(rid, verdict)
      if (status === 'ordered') this.#checkOrdered(row)
      if (reason === 'expired' && !this.#world.lost.queues && this.#wasDurable(rid))
        throw new Violation('queued is durable', `${rid} expired though the broker had it`)
    }
  }

  /** Somebody asked for it, or late money bought it and Redis had the room. */
  #checkOrdered({ rid, user, quantity }: ReservationRow): void {
    const { asked, late } = this.#world
    const bought = late.get(rid)
    const wanted = asked.get(rid)
    if (bought === undefined && (wanted?.user !== user || wanted.quantity !== quantity))
      throw new Violation('no phantom', `nobody asked for ${rid}`)
    if (bought?.hadRoom === false)
      throw new Violation('late money takes only free units', `${rid} took a unit that was held`)
  }

  /**
   * The broker had it, the buyer was told, and Redis knew before anybody could take it for stuck. What a consumer has in
   * hand, or lies among the dead letters, the depth of the queue does not show (ADR 15): after a loss of Redis, that may
   * expire.
   */
  #wasDurable(rid: string): boolean {
    const { told, redis, lost, broker } = this.#world
    if (told.get(rid)?.word !== 'queued' || !this.#queuedInTime.has(rid)) return false
    const state = redis.states.get(rid)?.state
    const hidden = [...broker.unacked, ...broker.dead].some(({ payload }) => payload.rid === rid)
    if (state === undefined) return !hidden
    return state === 'queued' && !lost.redis
  }

  /** Paid is never closed; captured money is one paid order, or on its way back. */
  #checkMoney(): void {
    const { pg } = this.#world
    for (const { id, status } of pg.orders.values()) {
      if (status === 'paid') this.#paid.add(id)
      else if (this.#paid.has(id)) throw new Violation('paid is never closed', `${id} is ${status}`)
      const captures = [...pg.paymentEvents.values()].filter(
        ({ paymentId, kind }) => kind === 'captured' && pg.payments.get(paymentId)?.orderId === id,
      ).length
      const refunds = [...pg.refunds.values()].filter(({ orderId }) => orderId === id).length
      if (captures - refunds !== (status === 'paid' ? 1 : 0))
        throw new Violation('captured is paid or refunded', `${id} is ${status}: ${captures} - ${refunds}`)
    }
  }

  /** A rebuild keeps what was taken and has no verdict. */
  #checkSwap(): void {
    const { redis, pg, lost } = this.#world
    for (const [rid, { state }] of this.#states) {
      const inFlight = state === 'held' || state === 'queued'
      if (inFlight && isHeldBy(pg, rid) && !redis.states.has(rid) && !lost.locks)
        throw new Violation('a rebuild keeps what is in flight', `${rid} was ${state}`)
    }
  }

  /** Late money has asked Redis for room, or bought units, that Redis has not taken from the others yet. */
  #lateUnderWay(exceptFor: string): boolean {
    const { late, lateUnderWay, redis } = this.#world
    return lateUnderWay > 0 || [...late.keys()].some((rid) => rid !== exceptFor && !redis.states.has(rid))
  }

  /** Units of an ended event go to the inventory when nobody can reserve them any more. */
  #checkReturns(): void {
    const { redis, pg, lost } = this.#world
    const returned = pg.ledger.filter(({ id }) => id.startsWith('returned')).length
    const open = redis.gate?.status === 'open' || redis.gate?.status === 'paused'
    if (returned > this.#returned && open && !lost.redis)
      throw new Violation('the gate ends before units are returned', `it is ${redis.gate?.status}`)
    this.#returned = returned
  }

  #checkTransitions(): void {
    const { redis } = this.#world
    for (const [rid, record] of redis.states) {
      const before = this.#states.get(rid)?.state
      if (before !== record.state) this.#checkTransition(rid, before, record)
    }
    for (const [user, rid] of this.#holders) {
      const freed = !redis.holders.has(user)
      if (freed && redis.states.get(rid)?.state !== 'released')
        throw new Violation('a buyer is freed by the own rid', `${user} holds ${rid} no more`)
    }
  }

  /** A unit goes back once, and after PostgreSQL let go of it. */
  #checkTransition(rid: string, before: UnitRecord['state'] | undefined, after: UnitRecord): void {
    const { pg, now, lost } = this.#world
    const { state, reservedAt } = after
    if (before === 'released') throw new Violation('released is final', `${rid} is ${state}`)
    if (state === 'released' && isHeldBy(pg, rid))
      throw new Violation('void or closed before released', `${rid} is released`)
    if (state === 'queued' && now - reservedAt <= STRAY_AFTER) this.#queuedInTime.add(rid)
    if (before === undefined && state === 'held' && this.#lateUnderWay(rid)) lost.promises = true
  }
}

/** 1. A + Live = T, A >= 0, one live claim a buyer, and only of open orders. */
function checkLedger(pg: Postgres): void {
  const { granted, available } = pg.event
  const live = [...pg.claims.values()].filter((claim) => claim.live)
  if (available < 0 || available + unitsOf(live) !== granted)
    throw new Violation('A + Live = T', `${available} + ${unitsOf(live)} = ${granted}`)
  const ledger = pg.ledger.reduce((sum, { delta }) => sum + delta, 0)
  if (ledger !== granted) throw new Violation('the ledger adds up', `${ledger} = ${granted}`)
  if (new Set(live.map(({ user }) => user)).size < live.length)
    throw new Violation('one live claim a buyer', live.map(({ user, rid }) => `${user}: ${rid}`).join(', '))
  const open = [...pg.orders.values()].filter(({ status }) => status !== 'closed')
  const claimed = new Set(live.map(({ orderId }) => orderId))
  if (open.length !== live.length || open.some(({ id }) => !claimed.has(id)))
    throw new Violation('an open order has one live claim', open.map(({ id }) => id).join(' '))
}

/** 2. R + held + confirmed = T in one read of Redis; holders are live units; paid units are counted. */
function checkUnits(redis: StockRedis): void {
  const { gate, stock, holders, states } = redis
  if (gate === undefined) return
  const taken = unitsInState(redis, 'held', 'queued', 'confirmed', 'paid')
  if (stock + taken !== gate.granted)
    throw new Violation('R + held + confirmed = T', `${stock} + ${taken} = ${gate.granted}`)
  const paid = unitsInState(redis, 'paid')
  if (paid !== gate.paid) throw new Violation('paid units are counted', `${paid} = ${gate.paid}`)
  for (const [user, rid] of holders) {
    const record = states.get(rid)
    if (record?.user !== user || record.state === 'released')
      throw new Violation('a holder is a live unit', `${user} holds ${rid}`)
  }
}

/** Whether PostgreSQL may still have a use for the unit. */
function isHeldBy(pg: Postgres, rid: string): boolean {
  const claim = pg.claims.get(rid)
  return claim === undefined ? pg.reservations.get(rid)?.status !== 'void' : claim.live
}

/**
 * What holds when nothing moves any more.
 * @param reconciled whether the reconciler had a say: without it, Redis may not know of a payment yet
 */
export function checkRest(world: World, reconciled: boolean): void {
  const { broker, jobs, pg, now } = world
  for (const topic of TOPICS)
    if (broker.depth(topic) > 0) throw new Violation('queues are empty', `${topic}: ${broker.depth(topic)}`)
  if (broker.dead.length > 0) throw new Violation('queues are empty', `dead letters: ${broker.dead.length}`)
  const left = [...jobs.all('waiting'), ...jobs.all('active')].filter(({ dueAt }) => dueAt <= now)
  if (left.length > 0) throw new Violation('queues are empty', left.map(({ id }) => id).join(' '))
  if (pg.outbox.some(({ published }) => !published)) throw new Violation('the outbox is empty', 'it is not')
  for (const { rid, status } of pg.reservations.values())
    if (status === 'undecided') throw new Violation('all is decided', rid)
  for (const { id, status, expiresAt } of pg.orders.values())
    if (status === 'pending' && expiresAt <= now) throw new Violation('no order is overdue', id)
  for (const { id, status } of pg.refunds.values())
    if (status === 'open' || !world.paidOut.has(id)) throw new Violation('refunds are paid out', id)
  checkPromises(world)
  checkAgreement(world, reconciled)
}

/** What buyers were told came true. */
function checkPromises({ told, pg, lost }: World): void {
  for (const [rid, { word }] of told)
    if (!pg.reservations.has(rid) && (word === 'queued' || !lost.redis))
      throw new Violation('who was told gets a verdict', `${rid}, told ${word}`)
  if (lost.redis || lost.promises) return
  for (const { rid, reason } of pg.reservations.values())
    if (reason === 'sold_out') throw new Violation('a held unit is not sold to another', rid)
}

/** Redis says what PostgreSQL says: 3. drift is 0, by rid and in sum, and nobody is barred. */
function checkAgreement({ redis, pg }: World, reconciled: boolean): void {
  const { gate, stock, holders, log } = redis
  if (gate?.status !== GATE_STATUS[pg.event.status] || gate.granted !== pg.event.granted)
    throw new Violation('the gate follows the event', `${gate?.status} ${gate?.granted}`)
  if (pg.ledger.some(({ applied }) => !applied))
    throw new Violation('the stock follows the ledger', 'not all')
  const live = new Map([...pg.claims].filter(([, claim]) => claim.live))
  checkRids(redis, pg, live, reconciled)
  if (holders.size > live.size) throw new Violation('nobody is barred', [...holders.values()].join(' '))
  if (stock !== pg.event.available) throw new Violation('drift is 0', `${pg.event.available} - ${stock}`)
  if (log.length > 0) throw new Violation('the log is empty', log.map(({ rid }) => rid).join(' '))
}

function checkRids(
  { states, holders }: StockRedis,
  pg: Postgres,
  live: ReadonlyMap<string, ClaimRow>,
  reconciled: boolean,
): void {
  for (const [rid, { state }] of states)
    if (state !== 'released' && !live.has(rid)) throw new Violation('no ghost unit', `${rid} is ${state}`)
  for (const [rid, { user, orderId }] of live) {
    const paid = pg.orders.get(orderId)?.status === 'paid'
    const state = states.get(rid)?.state
    if (state !== (paid ? 'paid' : 'confirmed') && (reconciled || state !== 'confirmed'))
      throw new Violation('a live claim is known to Redis', `${rid} is ${state}`)
    if (holders.get(user) !== rid) throw new Violation('a live claim is what its buyer holds', rid)
  }
}

function unitsOf(claims: readonly ClaimRow[]): number {
  return claims.reduce((sum, { quantity }) => sum + quantity, 0)
}
