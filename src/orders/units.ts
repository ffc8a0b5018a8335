/** The free units of sales, which orders take and give back. */
import type { Knex } from 'knex'

/**
 * Adds units to sales, or takes them. One that has fewer than are taken stays as it is. The rows are locked in the order
 * of their ids, and after all others but inventory, because every batch of a sale needs its row.
 * @param deltas units by the id of the sale
 * @returns whether all sales had enough; the caller rolls back when they had not
 */
export async function moveUnits(
  trx: Knex.Transaction,
  deltas: ReadonlyMap<string, number>,
): Promise<boolean> {
  const [only] = deltas
  if (only === undefined) return true
  const changed = await (deltas.size === 1 ? moveOne(trx, ...only) : moveSeveral(trx, deltas))
  return changed === deltas.size
}

/** One row has no order to be locked in, and that of a hot sale should be held for one round trip. */
function moveOne(trx: Knex.Transaction, eventId: string, units: number): Promise<number> {
  return trx('spike_events')
    .where('id', eventId)
    .andWhereRaw('available + ? >= 0', [units])
    .update({ available: trx.raw('available + ?', [units]) })
}

/**
 * Two statements, however many sales. UPDATE ... FROM by itself locks row by row, in whatever order its plan comes upon
 * them, and two batches would wait for each other. So may one statement that locks first: it then updates what it saw
 * before it waited for the locks, and queues for that old version of a row behind those who wait for its own lock.
 */
async function moveSeveral(trx: Knex.Transaction, deltas: ReadonlyMap<string, number>): Promise<number> {
  const ids = [...deltas.keys()]
  await trx.raw('SELECT FROM spike_events WHERE id = ANY(?::uuid[]) ORDER BY id FOR NO KEY UPDATE', [ids])
  const { rowCount } = await trx.raw(
    `UPDATE spike_events e SET available = e.available + i.units
       FROM unnest(?::uuid[], ?::int[]) AS i (id, units)
      WHERE e.id = i.id AND e.available + i.units >= 0`,
    [ids, [...deltas.values()]],
  )
  return rowCount
}
