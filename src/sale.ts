/**
 * The use cases of whoever runs a sale. PostgreSQL is changed first and is right; the gate in Redis follows,
 * and the sweep brings it after when a process dies in between.
 */
import type { Knex } from 'knex'
import type { Actor } from './audit/audit.ts'
import type { Logger } from './platform/logger.ts'
import { tryAdvisoryLock, underAdvisoryLock } from './platform/postgres/advisory-lock.ts'
import type { Scripts } from './platform/redis/define-script.ts'
import type { RedisClient } from './platform/redis/nodes.ts'
import { spikeKeys } from './reserve/keys.ts'
import type { GateStatus, spikeScripts } from './reserve/scripts.ts'
import {
  adjustStock,
  appliedUnits,
  markAdjustmentApplied,
  returnUnits,
  unappliedAdjustments,
  type StockChange,
} from './spike-events/ledger.ts'
import { SpikeEvent, type EventStatus } from './spike-events/model.ts'
import {
  endEvent,
  pauseEvent,
  publishEvent,
  resumeEvent,
  type Publication,
  type Transition,
} from './spike-events/transitions.ts'

export interface SaleDependencies {
  knex: Knex
  redis: RedisClient
  log: Logger
  scripts: Pick<Scripts<typeof spikeScripts>, 'open' | 'setStatus' | 'adjust' | 'countUnits'>
}

/** What the gate of a published event says when nobody rebuilds it. */
export const GATE_STATUS: Record<Exclude<EventStatus, 'draft'>, GateStatus> = {
  published: 'open',
  paused: 'paused',
  ended: 'ended',
}

/** Rings the stock off the inventory and opens the gate. */
export async function publishSale(deps: SaleDependencies, id: string, actor: Actor): Promise<Publication> {
  return followedByGate(deps, await publishEvent(deps.knex, id, actor))
}

export async function pauseSale(deps: SaleDependencies, id: string, actor: Actor): Promise<Transition> {
  return followedByGate(deps, await pauseEvent(deps.knex, id, actor))
}

export async function resumeSale(deps: SaleDependencies, id: string, actor: Actor): Promise<Transition> {
  return followedByGate(deps, await resumeEvent(deps.knex, id, actor))
}

/** Ends the sale and gives back what is free; what is still in flight or unpaid follows through the sweep. */
export async function endSale(deps: SaleDependencies, id: string, actor: Actor): Promise<Transition> {
  return followedByGate(deps, await endEvent(deps.knex, id, actor))
}

/** Grants a running sale more units of its product's inventory, or takes free ones back. */
export async function adjustSale(
  deps: SaleDependencies,
  id: string,
  change: { delta: number; reason: string },
  actor: Actor,
): Promise<StockChange> {
  const result = await adjustStock(deps.knex, id, change, actor)
  if (result.kind === 'done') await followSoon(deps, id)
  return result
}

async function followedByGate<T extends Publication>(deps: SaleDependencies, transition: T): Promise<T> {
  if (transition.kind === 'done') await followSoon(deps, transition.event.id)
  return transition
}

/** What PostgreSQL has committed is done, whether Redis answers now or not: the sweep follows until it does. */
async function followSoon(deps: SaleDependencies, eventId: string): Promise<void> {
  try {
    await followEvent(deps, eventId)
  } catch (error) {
    deps.log.error({ err: error, eventId }, 'gate left to the sweep')
  }
}

/**
 * Brings the gate of an event to what PostgreSQL says: opened, of the right status, all adjustments applied,
 * free units of an ended event returned. Safe to call at any time, by any number of processes: the event's
 * advisory lock lets one through at a time.
 */
export async function followEvent(deps: SaleDependencies, id: string): Promise<void> {
  await followGate(deps, id)
  if (await settleEnded(deps, id)) await followGate(deps, id)
}

const gateLock = (id: string) => `spike:${id}`

/** Lets one at a time change an event's gate. @returns `busy` when somebody else had it all the time */
export function underGateLock<T>(
  knex: Knex,
  id: string,
  work: (lock: Knex.Transaction) => Promise<T>,
): Promise<T | 'busy'> {
  return underAdvisoryLock(knex, gateLock(id), work)
}

/** Thrown where whoever asked may ask again: to its callers it is PostgreSQL's own word for a lock that is not got. */
export class GateBusyError extends Error {
  override readonly name = 'GateBusyError'
  readonly code = '55P03'

  constructor(id: string) {
    super(`the gate of event ${id} is being changed by somebody else`)
  }
}

/** Locks an event's gate until the end of the transaction, if nobody else has. @returns whether it was got */
export function tryLockGate(trx: Knex.Transaction, id: string): Promise<boolean> {
  return tryAdvisoryLock(trx, gateLock(id))
}

async function followGate(deps: SaleDependencies, id: string): Promise<void> {
  const followed = await underGateLock(deps.knex, id, async (trx) => {
    const event = await SpikeEvent.query(trx).findById(id)
    if (event === undefined || event.status === 'draft') return
    if (event.opened_at === null) await openGate(deps, trx, event)
    const gate = await deps.redis.hget(spikeKeys(id).gate, 'status')
    // A gate that is closed belongs to a rebuild, a missing one needs one: neither is touched here.
    if (gate !== null && gate !== 'closed' && gate !== GATE_STATUS[event.status])
      await deps.scripts.setStatus({ eventId: id, status: GATE_STATUS[event.status] })
    await applyAdjustments(deps, trx, id)
  })
  if (followed === 'busy') throw new GateBusyError(id)
}

/** The caller holds the event's advisory lock; nothing else ever makes a gate. */
async function openGate(deps: SaleDependencies, trx: Knex.Transaction, event: SpikeEvent): Promise<void> {
  const reply = await deps.scripts.open({
    eventId: event.id,
    epoch: event.epoch,
    status: event.status === 'published' ? 'open' : 'paused',
    startMs: event.start_at.getTime(),
    endMs: event.end_at.getTime(),
    granted: await appliedUnits(trx, event.id), // rows that were added since are applied by their ids
    perUserLimit: event.per_user_limit,
    lapseLimit: event.lapse_limit,
  })
  if (reply === 'OCCUPIED') throw new Error(`event ${event.id} has reservations in redis but no gate`)
  await SpikeEvent.query(trx).findById(event.id).patch({ opened_at: new Date() })
}

/**
 * Units in Redis without a verdict are in flight: until they are decided, nothing is given back.
 * @returns true when units went back to the inventory, which Redis has yet to hear of
 */
async function settleEnded(deps: SaleDependencies, id: string): Promise<boolean> {
  const event = await SpikeEvent.query(deps.knex).findById(id).select('status', 'available')
  if (event?.status !== 'ended' || event.available === 0) return false
  // It may have ended since the gate was followed: while the gate is open, units are taken that no count shows yet.
  if ((await deps.redis.hget(spikeKeys(id).gate, 'status')) !== GATE_STATUS.ended) return false
  const counts = await deps.scripts.countUnits({ eventId: id })
  if (counts === 'NOT_READY' || counts.held + counts.queued > 0) return false
  return (await returnUnits(deps.knex, id)) !== undefined
}

/** The caller holds the event's advisory lock, so no rebuild counts a row that is being applied. */
async function applyAdjustments(deps: SaleDependencies, trx: Knex.Transaction, id: string): Promise<void> {
  for (const adjustment of await unappliedAdjustments(trx, id)) {
    const reply = await deps.scripts.adjust({
      eventId: id,
      adjustmentId: adjustment.id,
      delta: adjustment.delta,
    })
    if (reply === 'NOT_READY') return // a rebuild reads the granted stock from PostgreSQL, this row included
    await markAdjustmentApplied(trx, adjustment.id)
  }
}
