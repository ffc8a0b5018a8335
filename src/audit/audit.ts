import type { Knex } from 'knex'

/** Who caused a change; no user id for what the product does by itself. */
export interface Actor {
  userId: string | undefined
  requestId: string | undefined
  /** Of the request, when it carries one: repeated, it changes nothing more. */
  idempotencyKey?: string | undefined
}

/** The product itself. */
export const SYSTEM: Actor = { userId: undefined, requestId: undefined }

/** Adds a row to the audit log, in the transaction of the change it speaks of. */
export async function recordAudit(
  trx: Knex.Transaction,
  actor: Actor,
  action: string,
  target: string,
  before: object | null,
  after: object | null,
): Promise<void> {
  await trx('audit_log').insert({
    actor_id: actor.userId ?? null,
    request_id: actor.requestId ?? null,
    action,
    target,
    before: before === null ? null : JSON.stringify(before),
    after: after === null ? null : JSON.stringify(after),
  })
}
