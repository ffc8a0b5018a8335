/**
 * What requests with an idempotency key have made, noted in the transaction that makes it. A request that is repeated
 * after its answer was lost, or after the death of the process that worked on it, finds that instead of making it again.
 */
import type { Knex } from 'knex'
import { deleteBatch } from './batch-delete.ts'

/** A request that its sender may repeat with the same key. */
export interface KeyedRequest {
  userId: string | undefined
  /** What the key is for: the same key may stand for something else elsewhere. */
  operation: string
  /** Undefined for requests without a key, which are all different. */
  key: string | undefined
}

/** A key may be used anew after this. */
const KEPT = `interval '24 hours'`

/**
 * The id of what an earlier request with this key made. Whoever asks holds a lock that its repetition would wait for,
 * or asks `noteMade` again before anything is made.
 */
export async function findMade(
  trx: Knex.Transaction,
  { userId, operation, key }: KeyedRequest,
): Promise<string | undefined> {
  if (userId === undefined || key === undefined) return undefined
  const made = await trx('keyed_requests')
    .where({ user_id: userId, operation, key })
    .whereRaw(`made_at >= now() - ${KEPT}`)
    .first('result_id')
  return made?.result_id
}

/**
 * Notes what this transaction is about to make; waits for one that is under way with the same key. The note goes
 * with the transaction when that is rolled back, so nothing may be refused after it without a roll-back.
 * @returns the id of what an earlier request made, when there is one after all
 */
export async function noteMade(
  trx: Knex.Transaction,
  request: KeyedRequest,
  resultId: string,
): Promise<string | undefined> {
  const { userId, operation, key } = request
  if (userId === undefined || key === undefined) return undefined
  const { rows: noted } = await trx.raw(
    `INSERT INTO keyed_requests AS r (user_id, operation, key, result_id)
     VALUES (:userId, :operation, :key, :resultId)
         ON CONFLICT (user_id, operation, key) DO UPDATE SET result_id = EXCLUDED.result_id, made_at = now()
      WHERE r.made_at < now() - ${KEPT}
     RETURNING result_id`,
    { userId, operation, key, resultId },
  )
  return noted.length > 0 ? undefined : findMade(trx, request)
}

/** Deletes a batch of the notes of keys that may be used anew. @returns how many are gone */
export function forgetMade(knex: Knex): Promise<number> {
  return deleteBatch(knex, { table: 'keyed_requests', where: `made_at < now() - ${KEPT}`, by: 'made_at' })
}
