/** What a rebuild of an event's Redis state needs of the event itself. */
import type { Knex } from 'knex'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { lockEvent, SpikeEvent, type EventStatus } from './model.ts'

export type EpochRaise =
  { kind: 'raised'; epoch: number } | { kind: 'not_found' } | { kind: 'wrong_state'; status: EventStatus }

/** Begins a new epoch, with its audit row. A draft has no state in Redis to rebuild. */
export function raiseEpoch(knex: Knex, id: string, actor: Actor): Promise<EpochRaise> {
  return knex.transaction(async (trx): Promise<EpochRaise> => {
    const event = await lockEvent(trx, id)
    if (event === undefined) return { kind: 'not_found' }
    if (event.status === 'draft') return { kind: 'wrong_state', status: event.status }
    const epoch = event.epoch + 1
    await SpikeEvent.query(trx)
      .findById(id)
      .patch({ epoch, version: event.version + 1, updated_at: new Date() })
    await recordAudit(trx, actor, 'spike-event.rebuild', id, { epoch: event.epoch }, { epoch })
    return { kind: 'raised', epoch }
  })
}

/** A row of an event's stock ledger, and whether Redis is known to have it. */
export interface LedgerRow {
  id: string
  delta: number
  applied: boolean
}

export function stockLedger(knex: Knex, eventId: string): Promise<LedgerRow[]> {
  return knex('spike_event_adjustments')
    .where('event_id', eventId)
    .select('id', 'delta', knex.raw('applied_at IS NOT NULL AS applied'))
}

/** Notes that Redis was given these rows of the ledger, all at once. */
export async function markAdjustmentsApplied(knex: Knex, ids: readonly string[]): Promise<void> {
  await knex('spike_event_adjustments')
    .whereRaw('id = ANY(?::uuid[])', [[...ids]])
    .whereNull('applied_at')
    .update({ applied_at: knex.fn.now() })
}
