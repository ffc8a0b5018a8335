/** What people do to dead letters and failed jobs: one at a time, once for each form, with its row in the audit log. */
import type { Knex } from 'knex'
import { v7 as uuidv7 } from 'uuid'
import { recordAudit, type Actor } from '../audit/audit.ts'
import { underAdvisoryLock } from '../platform/postgres/advisory-lock.ts'
import { findMade, noteMade } from '../platform/postgres/once.ts'

/** - `repeated`: the same form was sent before, and this is what it did; - `busy`: somebody else is at it */
export type Audited<Result> = { kind: 'done' | 'repeated'; result: Result } | { kind: 'busy' }

interface Work<Result> {
  action: string
  target: string
  /** Tells its row in the audit log, after the effects; nothing that was not there leaves a row. */
  run: () => Promise<{ before: object; after: Result; isWorthNoting: boolean }>
  /** What may only be done once its row is there, and is made up for when the same form is sent again. */
  finish?: (result: Result) => Promise<void>
}

/** Longer than any of this takes: the connection that holds the lock has nothing to do meanwhile. */
const LOCK_ENDS_MS = 60_000

export async function auditedOnce<Result extends object>(
  knex: Knex,
  actor: Actor,
  work: Work<Result>,
): Promise<Audited<Result>> {
  const audited = await underAdvisoryLock(knex, 'dead-letters', (lock) => runLocked(knex, lock, actor, work))
  return audited === 'busy' ? { kind: audited } : audited
}

async function runLocked<Result extends object>(
  knex: Knex,
  lock: Knex.Transaction,
  actor: Actor,
  work: Work<Result>,
): Promise<Audited<Result>> {
  await lock.raw(`SET LOCAL idle_in_transaction_session_timeout = ${LOCK_ENDS_MS}`)
  const audited = await runOnce(knex, lock, actor, work)
  await work.finish?.(audited.result)
  return audited
}

async function runOnce<Result extends object>(
  knex: Knex,
  lock: Knex.Transaction,
  actor: Actor,
  { action, target, run }: Work<Result>,
): Promise<{ kind: 'done' | 'repeated'; result: Result }> {
  const request = { userId: actor.userId, operation: `${action} ${target}`, key: actor.idempotencyKey }
  const earlier = await findMade(lock, request)
  if (earlier !== undefined)
    return { kind: 'repeated', result: await resultOf<Result>(lock, target, earlier) }
  const { before, after, isWorthNoting } = await run()
  if (!isWorthNoting) return { kind: 'done', result: after }
  // Not with the lock: the row must stay, even when that is lost.
  await knex.transaction(async (trx) => {
    const id = uuidv7()
    await noteMade(trx, request, id)
    await recordAudit(trx, actor, action, target, before, { ...after, run: id })
  })
  return { kind: 'done', result: after }
}

async function resultOf<Result>(lock: Knex.Transaction, target: string, run: string): Promise<Result> {
  const row = await lock('audit_log').where({ target }).whereRaw(`after->>'run' = ?`, [run]).first('after')
  return row.after as Result
}
