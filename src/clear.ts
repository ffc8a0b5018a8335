/**
 * The use case that takes an event out of Redis which is over for good: nothing of it can change any more, and PostgreSQL
 * tells whoever asks. Gate, stock and the counts of requests stay: buyers read `SALE_ENDED`, operators their report.
 */
import type { RedisClient } from './platform/redis/nodes.ts'
import type { Knex } from 'knex'
import type { Scripts } from './platform/redis/define-script.ts'
import {
  compareGrants,
  compareRids,
  readRids,
  readSnapshot,
  tallyOf,
  type RidsInRedis,
  type Snapshot,
  type Tally,
} from './reconcile.ts'
import { readGate, type Gate } from './reserve/gate.ts'
import type { spikeScripts } from './reserve/scripts.ts'
import type { UnitState } from './reserve/record.ts'
import { tryLockGate } from './sale.ts'

export interface ClearDependencies {
  knex: Knex
  redis: RedisClient
  scripts: Pick<Scripts<typeof spikeScripts>, 'clear'>
}

/**
 * - `nothing`: Redis has no gate of it, or it was cleared before
 * - `busy`: somebody else changes its gate
 * - `unsettled`: an order may still be paid or closed, or a unit is on its way
 * - `disagreed`: the stores say different things of it, which is for the repair
 */
export type Clearing =
  { kind: 'cleared' | 'nothing' | 'busy' | 'unsettled' } | { kind: 'disagreed'; findings: Tally }

/** A large event takes seconds to read; the lock's connection has nothing to do meanwhile. */
const READ_WITHIN_MS = 60_000

/**
 * Clears an event under its advisory lock, so that no rebuild comes between the look and the removal. What a restart of
 * Redis may have lost since is no matter where every rid agrees.
 */
export function clearEvent(deps: ClearDependencies, eventId: string): Promise<Clearing> {
  const { knex, redis, scripts } = deps
  return knex.transaction(async (lock): Promise<Clearing> => {
    await lock.raw(`SET LOCAL idle_in_transaction_session_timeout = ${READ_WITHIN_MS}`)
    if (!(await tryLockGate(lock, eventId))) return { kind: 'busy' }
    const gate = await readGate(redis, eventId)
    if (gate === undefined || gate.cleared) return { kind: 'nothing' }
    const rids = await readRids(redis, eventId)
    const snapshot = await readSnapshot(knex, eventId)
    if (snapshot === undefined || !isSettled(snapshot, gate)) return { kind: 'unsettled' }
    const units = unitsOf(rids)
    if (units.held + units.queued > 0) return { kind: 'unsettled' }
    const findings = [...compareRids(snapshot.claims, rids), ...compareGrants(snapshot.ledger, gate)]
    const surplus = gate.stock + units.confirmed + units.paid - gate.granted
    if (surplus !== 0) findings.push({ kind: 'miscounted', units: surplus })
    if (findings.length > 0) return { kind: 'disagreed', findings: tallyOf(findings) }
    const { epoch } = gate
    const reply = await scripts.clear({
      eventId,
      epoch,
      records: rids.records.size,
      released: units.released,
    })
    return { kind: reply === 'CLEARED' ? 'cleared' : 'unsettled' }
  })
}

/** Every unit was paid for or is back in the inventory, and every reservation has come to its end. */
function isSettled({ event, claims, ledger }: Snapshot, gate: Gate): boolean {
  if (event.status !== 'ended' || gate.status !== 'ended' || event.available > 0) return false
  if (ledger.some(({ applied }) => !applied)) return false
  return claims.every(
    ({ state, orderStatus }) => state === 'gone' || (state === 'live' && orderStatus === 'paid'),
  )
}

function unitsOf({ records }: RidsInRedis): Record<UnitState, number> {
  const units = { held: 0, queued: 0, confirmed: 0, paid: 0, released: 0 }
  for (const { state, quantity } of records.values()) units[state] += quantity
  return units
}
