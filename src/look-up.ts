/** Finding a purchase for whoever has one of its names in hand: the use case behind the look-up of the dashboard. */
import type { Knex } from 'knex'
import { z } from 'zod'
import { deadLetterJob } from './contracts/jobs/dead-letter.ts'
import { id } from './contracts/values.ts'
import {
  readPurchase,
  summaryOf,
  type Purchase,
  type PurchaseDependencies,
  type PurchaseSummary,
} from './figures/purchase.ts'
import { askStores, type Ask, type Store } from './figures/silent-stores.ts'
import {
  purchasesOfOrder,
  purchasesOfRequest,
  purchasesOfRid,
  purchasesOfUser,
  readPurchases,
  readUnreceived,
  type PurchaseName,
  type PurchaseRow,
} from './orders/purchases.ts'
import type { Logger } from './platform/logger.ts'
import { findRecord, ridsHeldBy, undecidedRidsOf, type FoundRecord } from './reserve/find.ts'
import { eventTag } from './reserve/rid.ts'
import { findEventIds, followedEventIds } from './spike-events/model.ts'
import { User } from './users/model.ts'

/** What a text may be the name of; several at once, because ids look alike. */
export interface Sought {
  orderId?: string
  rid?: string
  requestId?: string
  email?: string
  /** Id of a job in the queue of dead letters. */
  letter?: string
}

/** - `several`: the newest first, and whether there are more; - `unreadable`: the text is no name of anything */
export type LookUp =
  | { kind: 'one'; purchase: Purchase }
  | { kind: 'several'; purchases: PurchaseSummary[]; hasMore: boolean; silent: Store[] }
  | { kind: 'nothing'; sought: Sought; silent: Store[] }
  | { kind: 'unreadable' }

export interface LookUpDependencies extends PurchaseDependencies {
  log: Logger
}

const MAX_PURCHASES = 50

const isId = (text: string) => id.safeParse(text).success
const isEmail = (text: string) => z.email().max(254).safeParse(text).success

/** What a text may name, judged by its form alone. @returns undefined for what names nothing */
export function readSought(text: string): Sought | undefined {
  const given = text.trim()
  const [, step, jobOf = ''] = /^(create-order|release-stock|close-order|dead-letter)-(.+)$/.exec(given) ?? []
  if (step === 'dead-letter') return /^[A-Za-z0-9-]{1,200}$/.test(jobOf) ? { letter: given } : undefined
  if (step !== undefined && isId(jobOf)) {
    const name = jobOf.toLowerCase()
    return step === 'close-order' ? { orderId: name } : { rid: name }
  }
  if (isId(given)) return { orderId: given.toLowerCase(), rid: given.toLowerCase(), requestId: given }
  if (isEmail(given)) return { email: given.toLowerCase() }
  return /^[\w-]{1,128}$/.test(given) ? { requestId: given } : undefined
}

/**
 * Looks a purchase up by the id of its order, reservation, job or request, or by its buyer's e-mail. Reads PostgreSQL by
 * its indexes only; a silent Redis or BullMQ is left out and named.
 * @throws when PostgreSQL does not answer
 */
export async function lookUp(deps: LookUpDependencies, text: string): Promise<LookUp> {
  const sought = readSought(text)
  if (sought === undefined) return { kind: 'unreadable' }
  const stores = askStores(deps.log)
  const { rows, unreceived } = await find(deps, stores.ask, sought)
  const silent = [...stores.silent]
  const [first, ...others] = rows
  if (first === undefined) return { kind: 'nothing', sought, silent }
  const recordOf = ({ rid }: PurchaseRow) => (rid === null ? undefined : unreceived.get(rid))
  if (others.length === 0)
    return { kind: 'one', purchase: await readPurchase(deps, stores, first, recordOf(first)) }
  return {
    kind: 'several',
    purchases: rows.slice(0, MAX_PURCHASES).map((row) => summaryOf(row, recordOf(row)?.record)),
    hasMore: rows.length > MAX_PURCHASES,
    silent,
  }
}

interface Found {
  rows: PurchaseRow[]
  /** By rid: those of the rows that only Redis knows. */
  unreceived: Map<string, FoundRecord>
}

async function find(deps: LookUpDependencies, ask: Ask, sought: Sought): Promise<Found> {
  const { knex } = deps
  const named = sought.letter === undefined ? sought : await namedIn(deps, ask, sought.letter)
  const userId = named.email === undefined ? undefined : await userOf(knex, named.email)
  const names = await namesInPostgres(knex, named, userId)
  const unreceived = new Map<string, FoundRecord>()
  for (const record of await recordsInRedis(deps, ask, named, userId, names)) {
    const received = await purchasesOfRid(knex, record.rid)
    names.push(...received)
    if (received.length === 0) unreceived.set(record.rid, record)
  }
  const young = [...unreceived.values()].map(({ rid, eventId, record }) =>
    readUnreceived(knex, { ...record, rid, eventId }),
  )
  const rows = [...(await Promise.all(young)).flat(), ...(await readPurchases(knex, distinct(names)))]
  return { rows: rows.toSorted((a, b) => b.began_at.getTime() - a.began_at.getTime()), unreceived }
}

async function namesInPostgres(
  knex: Knex,
  { orderId, rid, requestId }: Sought,
  userId: string | undefined,
): Promise<PurchaseName[]> {
  const limit = MAX_PURCHASES + 1
  const names = await Promise.all([
    orderId === undefined ? [] : purchasesOfOrder(knex, orderId),
    rid === undefined ? [] : purchasesOfRid(knex, rid),
    requestId === undefined ? [] : purchasesOfRequest(knex, requestId, limit),
    userId === undefined ? [] : purchasesOfUser(knex, userId, limit),
  ])
  return names.flat()
}

/** What Redis tells of rids that are not among these names; PostgreSQL may know them none the less. */
async function recordsInRedis(
  { knex, redis }: LookUpDependencies,
  ask: Ask,
  { rid, requestId }: Sought,
  userId: string | undefined,
  names: readonly PurchaseName[],
): Promise<FoundRecord[]> {
  const events = requestId === undefined && userId === undefined ? [] : await followedEventIds(knex)
  const rids = rid === undefined ? [] : [rid]
  if (requestId !== undefined)
    rids.push(...(await ask('redis', () => undecidedRidsOf(redis, events, requestId), [])))
  if (userId !== undefined) rids.push(...(await ask('redis', () => ridsHeldBy(redis, events, userId), [])))
  const known = new Set(names.map((name) => name.rid))
  const unknown = [...new Set(rids)].filter((one) => !known.has(one)).slice(0, MAX_PURCHASES)
  const records: FoundRecord[] = []
  for (const one of unknown) {
    const owners = await findEventIds(knex, eventTag(one))
    const record = await ask('redis', () => findRecord(redis, owners, one), undefined)
    if (record !== undefined) records.push(record)
  }
  return records
}

const letterPayload = z.object({ rid: id.optional(), order_id: id.optional() })

/** What a dead letter is about; its payload may be a message as text, and nobody vouches for it. */
async function namedIn({ queues }: LookUpDependencies, ask: Ask, letterId: string): Promise<Sought> {
  const job = await ask('bullmq', async () => queues[deadLetterJob.step].getJob(letterId), undefined)
  const letter = deadLetterJob.schema.safeParse(job?.data)
  if (!letter.success) return {}
  const { payload } = letter.data
  const named = letterPayload.safeParse(typeof payload === 'string' ? jsonOf(payload) : payload)
  const { rid, order_id: orderId } = named.data ?? {}
  return { ...(rid && { rid }), ...(orderId && { orderId }) }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function userOf(knex: Knex, email: string): Promise<string | undefined> {
  return (await User.query(knex).findOne({ email }).select('id'))?.id
}

function distinct(names: readonly PurchaseName[]): PurchaseName[] {
  return [...new Map(names.map((name) => [name.orderId ?? name.rid, name])).values()]
}
