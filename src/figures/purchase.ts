/** One purchase, with all that the stores know of it. */
import type { Knex } from 'knex'
import type { CloseReason, OrderStatus } from '../orders/model.ts'
import { ridsOfPurchase, type PurchaseName, type PurchaseRow } from '../orders/purchases.ts'
import { purchaseTimeline } from '../orders/timeline.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { traceIdOf } from '../platform/telemetry/traceparent.ts'
import { findRecord, logEntryOf, type FoundRecord } from '../reserve/find.ts'
import type { UnitRecord, UnitState } from '../reserve/record.ts'
import { readDeadLetters, readJobs, type JobFacts, type PurchaseQueues } from './purchase-jobs.ts'
import { inOrder, momentOfRequest, momentsOfRows, type Moment } from './purchase-moments.ts'
import type { Ask, Store } from './silent-stores.ts'

/**
 * How a purchase stands: its order if there is one, else its reservation. `unknown_to_postgresql`: Redis tells of a
 * verdict that PostgreSQL has not.
 */
export interface Standing {
  word: 'reserving' | 'queued' | 'void' | OrderStatus | 'unknown_to_postgresql'
  reason: string | undefined
}

export interface PurchaseSummary {
  name: PurchaseName
  eventId: string | null
  products: string | null
  /** E-mail masked. */
  buyer: { id: string; email: string | null }
  quantity: number
  standing: Standing
  /** Minor units. */
  amount: number | null
  currency: string | null
  /** When an order that is pending has to be paid. */
  payBefore: Date | null
  beganAt: Date
}

export interface Purchase extends PurchaseSummary {
  requestId: string | null
  traceId: string | undefined
  /** Each rid with its record in Redis, the first one first. */
  reservations: { rid: string; record: UnitRecord | undefined }[]
  jobs: JobFacts[]
  timeline: Moment[]
  /** Stores that were silent: what they know is missing. */
  silent: Store[]
}

export interface PurchaseDependencies {
  knex: Knex
  /** The stock Redis. */
  redis: RedisClient
  queues: PurchaseQueues
}

/** @param record of a purchase that only Redis knows */
export function summaryOf(row: PurchaseRow, record?: UnitRecord): PurchaseSummary {
  return {
    name: nameOf(row),
    eventId: row.event_id,
    products: row.products,
    buyer: { id: row.user_id, email: row.email === null ? null : maskEmail(row.email) },
    quantity: row.quantity,
    standing: standingOf(row, record),
    amount: row.amount,
    currency: row.currency,
    payBefore: row.order_status === 'pending' ? row.expires_at : null,
    beganAt: row.began_at,
  }
}

function nameOf({ rid, order_id: orderId }: PurchaseRow): PurchaseName {
  if (orderId !== null) return { rid, orderId }
  if (rid !== null) return { rid, orderId }
  throw new Error('a purchase has neither a reservation nor an order')
}

const UNRECEIVED: Record<UnitState, Standing['word']> = {
  held: 'reserving',
  queued: 'queued',
  confirmed: 'unknown_to_postgresql',
  paid: 'unknown_to_postgresql',
  released: 'unknown_to_postgresql',
}

function standingOf(row: PurchaseRow, record: UnitRecord | undefined): Standing {
  if (row.order_status !== null) return { word: row.order_status, reason: closeReason(row.close_reason) }
  if (row.verdict === 'void') return { word: 'void', reason: row.void_reason ?? undefined }
  if (row.verdict !== null || record === undefined) return { word: 'queued', reason: undefined }
  return { word: UNRECEIVED[record.state], reason: record.reason }
}

function closeReason(reason: CloseReason | null): string | undefined {
  return reason ?? undefined
}

/** First and last letter and the domain: enough to tell whether it is the buyer that one speaks with. */
export function maskEmail(email: string): string {
  const at = email.lastIndexOf('@')
  const [name, domain] = [email.slice(0, at), email.slice(at)]
  return `${name.slice(0, 1)}…${name.length > 2 ? name.slice(-1) : ''}${domain}`
}

/** @param found where the row came from, when only Redis knows it */
export async function readPurchase(
  { knex, redis, queues }: PurchaseDependencies,
  { ask, silent }: { ask: Ask; silent: ReadonlySet<Store> },
  row: PurchaseRow,
  found: FoundRecord | undefined,
): Promise<Purchase> {
  const name = nameOf(row)
  const { eventId } = found ?? { eventId: row.event_id }
  const rids = await ridsOfPurchase(knex, name)
  const sought = { rids, orderId: name.orderId }
  const none: { jobs: JobFacts[]; moments: Moment[] } = { jobs: [], moments: [] }
  const [entries, records, entry, { jobs, moments }] = await Promise.all([
    purchaseTimeline(knex, { rids, orderId: name.orderId }),
    Promise.all(rids.map((rid) => ask('redis', () => recordOf(redis, eventId, rid), undefined))),
    found && ask('redis', () => logEntryOf(redis, found), undefined),
    ask('bullmq', () => readJobs(queues, sought), none),
  ])
  const ids = name.orderId === null ? rids : [...rids, name.orderId]
  const letters = await ask('bullmq', () => readDeadLetters(queues['dead-letter'], jobs, ids), [])
  const requestId = row.request_id ?? entry?.requestId ?? null
  const request = row.rid === null ? [] : [momentOfRequest(row.rid, requestId)]
  const unreceived = found === undefined ? [] : momentsOfRecord(found)
  return {
    ...summaryOf(row, found?.record),
    requestId,
    traceId: traceIdOf(row.traceparent ?? entry?.traceparent),
    reservations: rids.map((rid, i) => ({ rid, record: records[i] })),
    jobs,
    timeline: inOrder([
      ...request,
      ...unreceived,
      ...momentsOfRows(entries, row.rid),
      ...moments,
      ...letters,
    ]),
    silent: [...silent],
  }
}

async function recordOf(
  redis: RedisClient,
  eventId: string | null,
  rid: string,
): Promise<UnitRecord | undefined> {
  return eventId === null ? undefined : (await findRecord(redis, [eventId], rid))?.record
}

/** A record that was made by its release has no time of its reservation. */
function momentsOfRecord({ rid, record }: FoundRecord): Moment[] {
  const { reservedAtMs, quantity } = record
  if (reservedAtMs === 0) return []
  const detail = { reservation_id: rid, quantity }
  return [{ at: new Date(reservedAtMs), clock: 'redis', step: 'reserve', what: 'reserved', detail }]
}
