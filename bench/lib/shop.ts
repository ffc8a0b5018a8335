/** The API as a subject: one process from the build, a crowd of buyers with tokens, and sales to buy from. */
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { makeBuyers, type LoadBuyer } from '../../tools/lib/buyers.ts'
import { startProcess } from '../../tools/lib/processes.ts'
import type { LoadJob, LoadResult } from '../load/job.ts'
import type { BenchWorld } from '../ratio.ts'
import { LOGS, openArena, type Arena } from './arena.ts'
import { startReference } from './child.ts'

/** Connections of every load that is put on one server. */
export const CONNECTIONS = 64
export const WARM_UP_S = 1
/** More than one process of this machine answers in a second, so that no buyer comes twice. */
const BUYERS_A_SECOND = 15_000
const STOCK = 50_000_000

export interface Shop {
  arena: Arena
  apiUrl: string
}

/** Starts one API process, without workers. */
export async function openShop(world: BenchWorld): Promise<Shop> {
  const arena = await openArena(world)
  const api = await startProcess('api', arena.env, LOGS)
  world.cleanup(() => api.stop())
  return { arena, apiUrl: `http://127.0.0.1:${arena.config.port}` }
}

/** Starts bare Koa on the same servers. @param more settings of its own @returns its URL */
export async function startBare(
  world: BenchWorld,
  { arena }: Shop,
  more: NodeJS.ProcessEnv = {},
): Promise<string> {
  const bare = await startReference('accept.ts', { ...arena.env, ...more })
  world.cleanup(() => bare.stop())
  return bare.url
}

/** How buyers say who they are to bare Koa without duties. */
export function nameHeaders(buyers: readonly LoadBuyer[]): Record<string, string>[] {
  return buyers.map(({ user_id }) => ({ 'X-User': user_id }))
}

/** As many buyers as one measurement of accepted purchases can need. */
export function buyersFor({ seconds }: BenchWorld, { knex, config }: Arena): Promise<LoadBuyer[]> {
  return makeBuyers(knex, config.jwtSecret, (seconds + WARM_UP_S) * BUYERS_A_SECOND)
}

export function ordersUrl(base: string, eventId: string): string {
  return `${base}/spike-events/${eventId}/orders`
}

export function bearerHeaders(buyers: readonly LoadBuyer[]): Record<string, string>[] {
  return buyers.map(({ access_token }) => ({ Authorization: `Bearer ${access_token}` }))
}

/**
 * Runs a load of purchases on a sale of its own and checks what was promised: every 202 is a message in the broker.
 * Redis and the broker are emptied afterwards.
 * @param load given the event and what a job of purchases needs
 */
export async function onFreshSale(
  { scripts, ...arena }: Arena,
  load: (
    eventId: string,
    job: Pick<LoadJob, 'method' | 'once' | 'warmUpS' | 'connections'>,
  ) => Promise<LoadResult>,
): Promise<LoadResult> {
  const eventId = await arena.openSale(STOCK)
  try {
    const result = await load(eventId, {
      method: 'POST',
      once: true,
      warmUpS: WARM_UP_S,
      connections: CONNECTIONS,
    })
    const accepted = acceptedOf(result)
    for (let tries = 0; (await arena.waiting(reservationAccepted)) < accepted; await sleep(20))
      if (++tries > 100)
        throw new Error(`the broker has fewer messages than the ${accepted} accepted purchases`)
    const units = await scripts.countUnits({ eventId })
    if (units === 'NOT_READY' || STOCK - units.stock < accepted)
      throw new Error(`Redis has taken fewer units than the ${accepted} accepted purchases`)
    return result
  } finally {
    await arena.purge()
    await arena.forgetSale(eventId)
  }
}

/** Number of answers with 202. @throws when there were others */
export function acceptedOf({ byStatus, errors }: LoadResult): number {
  const { 202: accepted = 0, ...others } = byStatus
  if (accepted === 0 || errors > 0 || Object.keys(others).length > 0)
    throw new Error(
      `purchases were not all accepted: ${JSON.stringify(byStatus)}, ${errors} without an answer`,
    )
  return accepted
}

/** Sells the only unit of a sale and has it paid, as Redis sees it. @returns the event's id */
export async function openSoldOutSale(arena: Arena): Promise<string> {
  const eventId = await arena.openSale(1)
  const unit = { eventId, rid: uuidv7(), userId: uuidv7(), quantity: 1 }
  const { scripts } = arena
  await scripts.reserve({ ...unit, requestId: 'bench-sold-out' })
  const order = { ...unit, orderId: uuidv7(), expiresAtMs: Date.now() + 3_600_000 }
  await scripts.confirm([{ eventId, orders: [order] }])
  await scripts.markPaid(unit)
  return eventId
}
