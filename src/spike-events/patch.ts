import type { Knex } from 'knex'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { lockEvent, type EventStatus, type SpikeEvent } from './model.ts'

type Field =
  'start_at' | 'end_at' | 'spike_price' | 'stock' | 'payment_window_s' | 'per_user_limit' | 'lapse_limit'

/** What an admin may change; the product and its currency stay what they were in the draft. */
export type EventPatch = { [F in Field]?: SpikeEvent[F] | undefined }

/** No buyer was promised it: it begins with an order that is still to be made. */
const NEVER_FROZEN: Field = 'payment_window_s'

export type Patched =
  | { kind: 'done' }
  | { kind: 'not_found' }
  | { kind: 'stale' }
  | { kind: 'wrong_state'; status: EventStatus }
  | { kind: 'frozen'; fields: Field[] }
  | { kind: 'no_window'; field: 'start_at' | 'end_at' }

/**
 * Changes an event that has not ended: anything of a draft, later only what buyers were not promised.
 * @param version that the caller has seen; undefined for any
 */
export function patchEvent(
  knex: Knex,
  id: string,
  version: number | undefined,
  patch: EventPatch,
  actor: Actor,
): Promise<Patched> {
  return knex.transaction(async (trx): Promise<Patched> => {
    const event = await lockEvent(trx, id)
    if (event === undefined) return { kind: 'not_found' }
    if (version !== undefined && version !== event.version) return { kind: 'stale' }
    if (event.status === 'ended') return { kind: 'wrong_state', status: event.status }
    const fields = Object.keys(patch) as Field[]
    const frozen = event.status === 'draft' ? [] : fields.filter((field) => field !== NEVER_FROZEN)
    if (frozen.length > 0) return { kind: 'frozen', fields: frozen }
    const { start_at: startAt = event.start_at, end_at: endAt = event.end_at } = patch
    if (endAt <= startAt) return { kind: 'no_window', field: patch.end_at ? 'end_at' : 'start_at' }
    await trx('spike_events')
      .where({ id })
      .update({ ...patch, version: event.version + 1, updated_at: trx.fn.now() })
    const before = Object.fromEntries(fields.map((field) => [field, event[field]]))
    await recordAudit(trx, actor, 'spike-event.patch', id, before, patch)
    return { kind: 'done' }
  })
}
