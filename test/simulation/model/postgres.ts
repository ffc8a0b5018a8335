/**
 * PostgreSQL as far as one event goes: its rows, and the transactions of `src/orders`, `src/payments` and
 * `src/spike-events` over them, each as one atomic function. `conformance.test.ts` holds them against the real ones.
 */
import type { Mutant } from './mutants.ts'
import type { Claimed } from './redis.ts'
import { Violation } from './violation.ts'

export type EventStatus = 'published' | 'paused' | 'ended'
export type VoidReason = 'sold_out' | 'duplicate' | 'lapse_limit' | 'expired'
export type CloseReason = 'lapsed' | 'cancelled'
export type Topic = 'reservation.accepted' | 'order.created' | 'stock.released'

export interface ReservationRow extends Claimed {
  status: 'undecided' | 'ordered' | 'void'
  reason: VoidReason | undefined
  reservedAt: number
  receivedAt: number
}

/** A row of `spike_orders`. */
export interface ClaimRow extends Claimed {
  orderId: string
  live: boolean
}

export interface OrderRow {
  id: string
  rid: string
  user: string
  status: 'pending' | 'paid' | 'closed'
  closeReason: CloseReason | undefined
  expiresAt: number
}

export interface PaymentRow {
  id: string
  orderId: string
  status: 'pending' | 'captured' | 'failed'
}

export interface RefundRow {
  id: string
  orderId: string
  txn: string
  reason: 'order_closed' | 'already_paid'
  status: 'open' | 'done'
  requestedAt: number | undefined
}

/** What crosses the broker; which fields there are depends on the topic. */
export interface Payload extends Claimed {
  orderId?: string
  dueAt?: number
  lapsed?: boolean
  reservedAt?: number
}

export interface OutboxRow {
  id: number
  topic: Topic
  key: string
  payload: Payload
  published: boolean
  /** The relay that has it in hand. */
  lockedBy: object | undefined
}

export interface LedgerRow {
  id: string
  delta: number
  applied: boolean
}

export interface EventRow {
  status: EventStatus
  granted: number
  available: number
  epoch: number
  lapseLimit: number
  perUserLimit: number
  paymentWindow: number
}

export interface Postgres {
  event: EventRow
  ledger: LedgerRow[]
  reservations: Map<string, ReservationRow>
  claims: Map<string, ClaimRow>
  orders: Map<string, OrderRow>
  payments: Map<string, PaymentRow>
  /** What the provider told, by its transaction. */
  paymentEvents: Map<string, { paymentId: string; kind: 'captured' | 'failed' }>
  refunds: Map<string, RefundRow>
  outbox: OutboxRow[]
  /** Holder of the advisory lock of the event's late money. */
  lateLock: object | undefined
  /** Holder of the event's advisory lock. */
  gateLock: object | undefined
  writes: number
  planted: Mutant | undefined
}

export function openPostgres(
  event: Pick<EventRow, 'granted' | 'lapseLimit' | 'perUserLimit' | 'paymentWindow'>,
  planted?: Mutant,
): Postgres {
  return {
    event: { ...event, status: 'published', available: event.granted, epoch: 1 },
    ledger: [{ id: 'published', delta: event.granted, applied: true }],
    reservations: new Map(),
    claims: new Map(),
    orders: new Map(),
    payments: new Map(),
    paymentEvents: new Map(),
    refunds: new Map(),
    outbox: [],
    lateLock: undefined,
    gateLock: undefined,
    writes: 0,
    planted,
  }
}

/** `receiveReservations`. */
export function receive(
  pg: Postgres,
  batch: readonly (Claimed & { reservedAt: number })[],
  now: number,
): void {
  for (const { rid, user, quantity, reservedAt } of batch) {
    if (pg.reservations.has(rid) && pg.planted !== 'drop-dedupe-in-inbox') continue
    putReservation(pg, {
      rid,
      user,
      quantity,
      status: 'undecided',
      reason: undefined,
      reservedAt,
      receivedAt: now,
    })
  }
}

export function undecidedRids(pg: Postgres, receivedBefore: number): string[] {
  return [...pg.reservations.values()]
    .filter(({ status, receivedAt }) => status === 'undecided' && receivedAt < receivedBefore)
    .map(({ rid }) => rid)
}

export type Verdict =
  | ({ kind: 'ordered'; orderId: string; paid: boolean; live: boolean } & Claimed)
  | { kind: 'void'; rid: string; reason: VoidReason }
  | { kind: 'unknown' | 'undecided'; rid: string }

/** `findReservations` and `verdictOf` of one rid. */
export function verdictOn(pg: Postgres, rid: string): Verdict {
  const row = pg.reservations.get(rid)
  if (row === undefined) return { kind: 'unknown', rid }
  if (row.status === 'undecided') return { kind: 'undecided', rid }
  if (row.status === 'void') return { kind: 'void', rid, reason: row.reason ?? 'sold_out' }
  const claim = one(pg.claims, rid)
  const paid = one(pg.orders, claim.orderId).status === 'paid'
  const { user, quantity, orderId, live } = claim
  return { kind: 'ordered', rid, user, quantity, orderId, live, paid }
}

/** `decideReservations`: a batch in one transaction; when units are scarce, the first reserved is the first served. */
export function decide(pg: Postgres, rids: readonly string[], now: number): Verdict[] {
  const known = rids.flatMap((rid) => pg.reservations.get(rid) ?? []).sort((a, b) => (a.rid < b.rid ? -1 : 1))
  const again = pg.planted === 'second-verdict'
  const undecided = known.filter(({ status }) => status === 'undecided' || again)
  const refusals: [ReservationRow, VoidReason][] = []
  const claimants: ReservationRow[] = []
  for (const row of undecided) {
    if (lapsesOf(pg, row.user) > pg.event.lapseLimit) refusals.push([row, 'lapse_limit'])
    else if (hasLiveClaim(pg, row.user) || claimants.some(({ user }) => user === row.user))
      refusals.push([row, 'duplicate'])
    else claimants.push(row)
  }
  for (const row of claimants) {
    if (pg.event.available >= row.quantity) orderUnits(pg, row, now)
    else refusals.push([row, 'sold_out'])
  }
  for (const [row, reason] of refusals) makeVoid(pg, row, reason)
  return rids.map((rid) => verdictOn(pg, rid))
}

/** `expireReservations`. @returns the rids that are void by this */
export function expire(
  pg: Postgres,
  holds: readonly (Claimed & { reservedAt: number })[],
  now: number,
): Set<string> {
  const unknown = holds.filter(({ rid }) => !pg.reservations.has(rid))
  for (const { rid, user, quantity, reservedAt } of unknown)
    makeVoid(
      pg,
      { rid, user, quantity, status: 'undecided', reason: undefined, reservedAt, receivedAt: now },
      'expired',
    )
  return new Set(unknown.map(({ rid }) => rid))
}

/** `overdueOrders`. */
export function overdue(pg: Postgres, now: number): string[] {
  return [...pg.orders.values()]
    .filter(({ status, expiresAt }) => status === 'pending' && expiresAt <= now)
    .map(({ id }) => id)
}

export type Closing = 'closed' | 'not_due' | 'not_pending' | 'unknown'

/** `closeLapsedOrders`. */
export function closeLapsed(pg: Postgres, ids: readonly string[], now: number): Closing[] {
  return ids.map((id) => {
    const order = pg.orders.get(id)
    if (order === undefined) return 'unknown'
    const closable =
      order.status === 'pending' || (pg.planted === 'close-ignores-status' && order.status === 'paid')
    if (!closable) return 'not_pending'
    if (order.expiresAt > now) return 'not_due'
    close(pg, order, 'lapsed')
    return 'closed'
  })
}

/** `cancelOrder`. */
export function cancel(pg: Postgres, id: string, now: number): 'cancelled' | 'not_pending' {
  const order = one(pg.orders, id)
  if (order.closeReason === 'cancelled') return 'cancelled'
  if (order.status !== 'pending' || order.expiresAt <= now) return 'not_pending'
  close(pg, order, 'cancelled')
  return 'cancelled'
}

/** `startPayment`. @returns the payment's id, undefined when the order is not to be paid any more */
export function startPayment(pg: Postgres, orderId: string, now: number): string | undefined {
  const order = one(pg.orders, orderId)
  if (order.status !== 'pending' || order.expiresAt <= now) return undefined
  const open = [...pg.payments.values()].find((p) => p.orderId === orderId && p.status === 'pending')
  if (open !== undefined) return open.id
  const id = `payment-${pg.payments.size + 1}`
  pg.payments.set(id, { id, orderId, status: 'pending' })
  pg.writes++
  return id
}

export interface Callback {
  txn: string
  paymentId: string
  kind: 'captured' | 'failed'
}

export type CallbackResult = { kind: 'paid'; rid: string } | { kind: 'failed' | 'late' | 'seen_before' }

/** `applyCallback`: one statement. */
export function applyCallback(pg: Postgres, { txn, paymentId, kind }: Callback): CallbackResult {
  const order = one(pg.orders, one(pg.payments, paymentId).orderId)
  const seen = pg.paymentEvents.get(txn)
  const payable = order.status === 'pending' || pg.planted === 'pay-closed-order'
  const isNew =
    (payable || kind === 'failed') &&
    (seen === undefined || (seen.kind === 'failed' && kind === 'captured' && seen.paymentId === paymentId))
  if (!isNew) return { kind: kind === 'captured' && seen?.kind !== 'captured' ? 'late' : 'seen_before' }
  notePayment(pg, { txn, paymentId, kind })
  if (kind === 'failed') return { kind: 'failed' }
  pg.orders.set(order.id, { ...order, status: 'paid', closeReason: undefined })
  return { kind: 'paid', rid: order.rid }
}

/**
 * `settleLate`: the whole transaction.
 * @param hasRoom what Redis told of the units, asked within the transaction
 * @param rid the new reservation, if it comes to that
 */
export function settleLate(
  pg: Postgres,
  callback: Callback,
  hasRoom: boolean,
  rid: string,
  now: number,
): 'seen_before' | 'refund_opened' | 'paid_late' {
  const { txn, paymentId } = callback
  const order = one(pg.orders, one(pg.payments, paymentId).orderId)
  const seen = pg.paymentEvents.get(txn)
  if (seen !== undefined && !(seen.kind === 'failed' && seen.paymentId === paymentId)) return 'seen_before'
  notePayment(pg, callback)
  if (order.closeReason === 'lapsed' && reclaim(pg, order, hasRoom, rid, now)) return 'paid_late'
  if (pg.planted === 'refund-forgotten') return 'refund_opened'
  const reason = order.status === 'closed' ? 'order_closed' : 'already_paid'
  const id = `refund-${txn}`
  insert(pg.refunds, id, { id, orderId: order.id, txn, reason, status: 'open', requestedAt: undefined })
  return 'refund_opened'
}

/** `takeOpenRefunds`. */
export function takeOpenRefunds(pg: Postgres, askAgainBefore: number, now: number): RefundRow[] {
  const due = [...pg.refunds.values()].filter(
    ({ status, requestedAt }) => status === 'open' && (requestedAt ?? -1) < askAgainBefore,
  )
  for (const row of due) pg.refunds.set(row.id, { ...row, requestedAt: now })
  return due
}

/** `applyRefund`. */
export function applyRefund(pg: Postgres, id: string): void {
  const row = one(pg.refunds, id)
  if (row.status === 'done') return
  pg.refunds.set(id, { ...row, status: 'done' })
  pg.writes++
}

export type ClaimState =
  | { state: 'undecided' }
  | { state: 'live'; paid: boolean }
  | { state: 'gone'; reason: VoidReason | CloseReason; ordered: boolean }

/** `claimsOfEvent`. */
export function claimsOfEvent(pg: Postgres): (Claimed & { reservedAt: number } & ClaimState)[] {
  return [...pg.reservations.values()].map((row) => {
    const { rid, user, quantity, reservedAt, reason } = row
    const claimed = { rid, user, quantity, reservedAt }
    const claim = pg.claims.get(rid)
    if (row.status === 'undecided') return { ...claimed, state: 'undecided' }
    if (claim === undefined)
      return { ...claimed, state: 'gone', reason: reason ?? 'sold_out', ordered: false }
    const { status, closeReason } = one(pg.orders, claim.orderId)
    if (claim.live) return { ...claimed, state: 'live', paid: status === 'paid' }
    return { ...claimed, state: 'gone', reason: closeReason ?? 'lapsed', ordered: true }
  })
}

/** `adjustStock`; again with the same id changes nothing. */
export function adjustStock(pg: Postgres, row: { id: string; delta: number }): void {
  const { event } = pg
  if (event.status === 'ended' || event.available + row.delta < 0) return
  if (pg.ledger.some(({ id }) => id === row.id)) return
  grant(pg, row)
}

/** `returnUnits`. @returns whether there were any */
export function returnUnits(pg: Postgres): boolean {
  const { event } = pg
  if (event.status !== 'ended' || event.available === 0 || undecidedRids(pg, Infinity).length > 0)
    return false
  grant(pg, { id: `returned-${pg.ledger.length}`, delta: -event.available })
  return true
}

export function setEventStatus(pg: Postgres, status: EventStatus): void {
  if (pg.event.status === 'ended') return
  pg.event.status = status
  pg.writes++
}

export function raiseEpoch(pg: Postgres): number {
  pg.writes++
  return ++pg.event.epoch
}

export function markApplied(pg: Postgres, ids: readonly string[]): void {
  for (const row of pg.ledger)
    if (!row.applied && ids.includes(row.id)) {
      row.applied = true
      pg.writes++
    }
}

/** `drainOutbox`, its first half: the oldest rows that nobody has in hand. */
export function takeOutbox(pg: Postgres, limit: number, relay: object): OutboxRow[] {
  const rows = pg.outbox.filter((row) => !row.published && row.lockedBy === undefined).slice(0, limit)
  for (const row of rows) row.lockedBy = relay
  return rows
}

/** Its second half. */
export function markPublished(pg: Postgres, rows: readonly OutboxRow[]): void {
  for (const row of rows) row.published = true
  pg.writes += rows.length
}

function lapsesOf(pg: Postgres, user: string): number {
  return [...pg.claims.values()].filter((claim) => claim.user === user && !claim.live).length
}

function hasLiveClaim(pg: Postgres, user: string): boolean {
  if (pg.planted === 'second-live-claim') return false
  return [...pg.claims.values()].some((claim) => claim.user === user && claim.live)
}

function orderUnits(pg: Postgres, row: ReservationRow, now: number): void {
  const { rid, user, quantity } = row
  const orderId = pg.orders.has(`order-${rid}`) ? `order-${rid}-again` : `order-${rid}`
  pg.claims.set(rid, { rid, user, quantity, orderId, live: true })
  const expiresAt = now + pg.event.paymentWindow
  pg.orders.set(orderId, { id: orderId, rid, user, status: 'pending', closeReason: undefined, expiresAt })
  putReservation(pg, { ...row, status: 'ordered', reason: undefined })
  tell(pg, 'order.created', orderId, { rid, user, quantity, orderId, dueAt: expiresAt })
  takeUnits(pg, quantity)
}

function makeVoid(pg: Postgres, row: ReservationRow, reason: VoidReason): void {
  const { rid, user, quantity } = row
  putReservation(pg, { ...row, status: 'void', reason })
  tell(pg, 'stock.released', rid, { rid, user, quantity, lapsed: false })
}

function close(pg: Postgres, order: OrderRow, reason: CloseReason): void {
  pg.orders.set(order.id, { ...order, status: 'closed', closeReason: reason })
  for (const claim of pg.claims.values()) {
    if (claim.orderId !== order.id || !claim.live) continue
    const { rid, user, quantity } = claim
    pg.claims.set(rid, { ...claim, live: false })
    if (pg.planted !== 'outbox-skipped-on-close')
      tell(pg, 'stock.released', rid, { rid, user, quantity, lapsed: true })
    takeUnits(pg, -quantity)
  }
}

/** `reacquireOrder` for a sale. @returns whether the order has its units again */
function reclaim(pg: Postgres, order: OrderRow, hasRoom: boolean, rid: string, now: number): boolean {
  const { user } = order
  const last = [...pg.claims.values()].findLast((claim) => claim.orderId === order.id)
  if (last === undefined || hasLiveClaim(pg, user)) return false
  const { quantity } = last
  if (!hasRoom || pg.event.status === 'ended' || pg.event.available < quantity) return false
  takeUnits(pg, quantity)
  insert(pg.claims, rid, { rid, user, quantity, orderId: order.id, live: true })
  putReservation(pg, {
    rid,
    user,
    quantity,
    status: 'ordered',
    reason: undefined,
    reservedAt: now,
    receivedAt: now,
  })
  tell(pg, 'reservation.accepted', rid, { rid, user, quantity, reservedAt: now })
  pg.orders.set(order.id, { ...order, status: 'paid', closeReason: undefined })
  return true
}

function notePayment(pg: Postgres, { txn, paymentId, kind }: Callback): void {
  const payment = one(pg.payments, paymentId)
  pg.paymentEvents.set(txn, { paymentId, kind })
  if (payment.status === 'pending' || kind === 'captured')
    pg.payments.set(paymentId, { ...payment, status: kind })
  pg.writes++
}

function grant(pg: Postgres, row: { id: string; delta: number }): void {
  pg.ledger.push({ ...row, applied: false })
  pg.event.granted += row.delta
  takeUnits(pg, -row.delta)
}

function takeUnits({ event }: Postgres, units: number): void {
  event.available -= units
  if (event.available < 0 || event.available > event.granted)
    throw new Violation('the table allows it', `available ${event.available} of ${event.granted}`)
}

function putReservation(pg: Postgres, row: ReservationRow): void {
  pg.reservations.set(row.rid, row)
  pg.writes++
}

function tell(pg: Postgres, topic: Topic, key: string, payload: Payload): void {
  if (pg.outbox.some((row) => row.topic === topic && row.key === key))
    throw new Violation('the table allows it', `a second ${topic} of ${key}`)
  const id = pg.outbox.length + 1
  pg.outbox.push({ id, topic, key, payload, published: false, lockedBy: undefined })
  pg.writes++
}

function insert<K, V>(table: Map<K, V>, key: K, row: V): void {
  if (table.has(key)) throw new Violation('the table allows it', `a second row ${String(key)}`)
  table.set(key, row)
}

/** A row that must be there. */
export function one<K, V>(table: ReadonlyMap<K, V>, key: K): V {
  const row = table.get(key)
  if (row === undefined) throw new Error(`no row ${String(key)}`)
  return row
}
