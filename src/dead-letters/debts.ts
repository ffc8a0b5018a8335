/**
 * What a dead letter or a failed job still owes to somebody: a verdict, a close, units. The triage of the workers and
 * the people at the dashboard settle it in the same way, as often as they like.
 */
import type { Queue } from 'bullmq'
import type { Knex } from 'knex'
import { closeOrderJob, type CloseOrderPayload } from '../contracts/jobs/close-order.ts'
import { createOrderJob, type CreateOrderPayload } from '../contracts/jobs/create-order.ts'
import type { DeadLetter } from '../contracts/jobs/dead-letter.ts'
import { releaseStockJob, type ReleaseStockPayload } from '../contracts/jobs/release-stock.ts'
import type { MessageDefinition } from '../contracts/messages/message.ts'
import { orderCreated } from '../contracts/messages/order-created.ts'
import { reservationAccepted, type ReservationAccepted } from '../contracts/messages/reservation-accepted.ts'
import type { MessageSigner } from '../contracts/messages/signature.ts'
import { stockReleased } from '../contracts/messages/stock-released.ts'
import type { Topology } from '../contracts/messages/topology.ts'
import { holdsOf, type Hold } from '../orders/holds.ts'
import { findReservations, receiveReservations } from '../orders/inbox.ts'
import type { JobProducer } from '../platform/bullmq/job.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { readGate } from '../reserve/gate.ts'
import { spikeKeys } from '../reserve/keys.ts'

export interface DebtDependencies {
  knex: Knex
  /** The stock Redis. */
  redis: RedisClient
  signer: MessageSigner
  topology: Topology
  createOrders: JobProducer<'create-order', CreateOrderPayload>
  closeOrders: JobProducer<'close-order', CloseOrderPayload>
  releases: JobProducer<'release-stock', ReleaseStockPayload>
}

/** Of every step whose jobs may fail. */
export function producersOf({
  createOrders,
  closeOrders,
  releases,
}: Pick<DebtDependencies, 'createOrders' | 'closeOrders' | 'releases'>) {
  return [createOrders, closeOrders, releases]
}

export type Debt =
  /** A message carries the reservation itself; a job only knows which one it is. */
  | { kind: 'verdict'; id: string; reservation: ReservationAccepted | undefined }
  | { kind: 'close'; id: string }
  | { kind: 'release'; id: string }

/** - `foreign`: PostgreSQL knows nothing of it, or says that it is not owed: nothing that we may act on */
export type Standing = 'open' | 'settled' | 'foreign'

/** @returns undefined for what is not ours, or can't be read: nobody vouches for the text of a dead letter */
export function debtOf(
  letter: DeadLetter,
  context: Pick<DebtDependencies, 'signer' | 'topology'>,
): Debt | undefined {
  if (letter.source === 'job') return debtOfJob(letter.origin, letter.payload)
  const read = <P>(definition: MessageDefinition<P>): P | undefined => {
    if (context.topology.queueOf(definition) !== letter.origin || typeof letter.payload !== 'string')
      return undefined
    const message = context.signer.read(definition, Buffer.from(letter.payload), letter.signature)
    return message.ok ? message.payload : undefined
  }
  const reservation = read(reservationAccepted)
  if (reservation !== undefined) return { kind: 'verdict', id: reservation.rid, reservation }
  const order = read(orderCreated)
  if (order !== undefined) return { kind: 'close', id: order.order_id }
  const released = read(stockReleased)
  return released === undefined ? undefined : { kind: 'release', id: released.rid }
}

export function debtOfJob(step: string, data: unknown): Debt | undefined {
  switch (step) {
    case createOrderJob.step: {
      const { data: payload } = createOrderJob.schema.safeParse(data)
      return payload && { kind: 'verdict', id: payload.rid, reservation: undefined }
    }
    case closeOrderJob.step: {
      const { data: payload } = closeOrderJob.schema.safeParse(data)
      return payload && { kind: 'close', id: payload.order_id }
    }
    case releaseStockJob.step: {
      const { data: payload } = releaseStockJob.schema.safeParse(data)
      return payload && { kind: 'release', id: payload.rid }
    }
    default:
      return undefined
  }
}

/** Makes sure that a debt is worked on: afterwards its job waits in its queue, whatever became of the last one. */
export async function revive(
  deps: Pick<DebtDependencies, 'knex' | 'createOrders' | 'closeOrders' | 'releases'>,
  debt: Debt,
): Promise<void> {
  switch (debt.kind) {
    case 'verdict':
      if (debt.reservation !== undefined) await receiveReservations(deps.knex, [debt.reservation])
      return deps.createOrders.ensure({ rid: debt.id })
    case 'close':
      return deps.closeOrders.ensure({ order_id: debt.id })
    case 'release':
      return deps.releases.ensure({ rid: debt.id })
  }
}

/** The job that works on a debt, and its queue. */
export function jobOf(
  deps: Pick<DebtDependencies, 'createOrders' | 'closeOrders' | 'releases'>,
  debt: Debt,
): { queue: Queue; jobId: string } {
  switch (debt.kind) {
    case 'verdict':
      return { queue: deps.createOrders.queue, jobId: createOrderJob.jobId({ rid: debt.id }) }
    case 'close':
      return { queue: deps.closeOrders.queue, jobId: closeOrderJob.jobId({ order_id: debt.id }) }
    case 'release':
      return { queue: deps.releases.queue, jobId: releaseStockJob.jobId({ rid: debt.id }) }
  }
}

/** Whether a letter is not needed any more after a revival: the job is as good as the message was, and has its own. */
export function isHandedOver({ source }: Pick<DeadLetter, 'source'>, debt: Debt): boolean {
  return source === 'message' && debt.kind === 'close'
}

/**
 * How things stand with each debt, by PostgreSQL and, where units go back, by Redis; in the order given. For what owes
 * nothing that can be told, undefined.
 */
export async function standingsOf(
  stores: Pick<DebtDependencies, 'knex' | 'redis'>,
  debts: readonly (Debt | undefined)[],
): Promise<(Standing | undefined)[]> {
  const known = debts.filter((debt) => debt !== undefined)
  const standings = await standingsOfKnown(stores, known)
  const byDebt = new Map(known.map((debt, i) => [debt, standings[i]]))
  return debts.map((debt) => debt && byDebt.get(debt))
}

async function standingsOfKnown(
  stores: Pick<DebtDependencies, 'knex' | 'redis'>,
  debts: readonly Debt[],
): Promise<Standing[]> {
  const idsOf = (kind: Debt['kind']) => debts.filter((debt) => debt.kind === kind).map(({ id }) => id)
  const [verdicts, closes, releases] = await Promise.all([
    verdictStandings(stores.knex, idsOf('verdict')),
    closeStandings(stores.knex, idsOf('close')),
    releaseStandings(stores, idsOf('release')),
  ])
  return debts.map((debt) => {
    switch (debt.kind) {
      case 'verdict':
        return verdicts.get(debt.id) ?? (debt.reservation === undefined ? 'foreign' : 'open')
      case 'close':
        return closes.get(debt.id) ?? 'foreign'
      case 'release':
        return releases.get(debt.id) ?? 'foreign'
    }
  })
}

async function verdictStandings(knex: Knex, rids: readonly string[]): Promise<Map<string, Standing>> {
  if (rids.length === 0) return new Map()
  const rows = await findReservations(knex, rids)
  return new Map(rows.map((row) => [row.rid, row.status === 'undecided' ? 'open' : 'settled']))
}

async function closeStandings(knex: Knex, orderIds: readonly string[]): Promise<Map<string, Standing>> {
  if (orderIds.length === 0) return new Map()
  const rows: { id: string; status: string }[] = await knex('orders')
    .whereIn('id', orderIds)
    .select('id', 'status')
  return new Map(rows.map((row) => [row.id, row.status === 'pending' ? 'open' : 'settled']))
}

async function releaseStandings(
  { knex, redis }: { knex: Knex; redis: RedisClient },
  rids: readonly string[],
): Promise<Map<string, Standing>> {
  if (rids.length === 0) return new Map()
  const holds = await holdsOf(knex, rids)
  const standings = await Promise.all(holds.map((hold) => releaseStanding(redis, hold)))
  return new Map(rids.map((rid, i) => [rid, standings[i] ?? 'foreign']))
}

async function releaseStanding(redis: RedisClient, hold: Hold): Promise<Standing> {
  if (hold.kind !== 'gone') return 'foreign'
  if (hold.reason === 'unknown_event') return 'settled' // nothing was taken from a sale that does not exist
  const record = await redis.hget(spikeKeys(hold.eventId).states, hold.rid)
  if (record?.startsWith('released|')) return 'settled'
  return record === null && (await readGate(redis, hold.eventId))?.cleared ? 'settled' : 'open'
}
