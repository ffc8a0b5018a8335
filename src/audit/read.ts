/** The audit log as people read it. */
import type { Knex } from 'knex'

export interface AuditRow {
  id: number
  at: Date
  /** E-mail of whoever did it; null for what the product did by itself. */
  actor: string | null
  action: string
  target: string
  before: unknown
  after: unknown
  requestId: string | null
}

/**
 * The newest rows first.
 * @param olderThan id of the last row of the page before
 */
export async function listAudit(
  knex: Knex,
  {
    target,
    olderThan,
    limit,
  }: { target?: string | undefined; olderThan?: number | undefined; limit: number },
): Promise<AuditRow[]> {
  const query = knex('audit_log as a').leftJoin('users as u', 'u.id', 'a.actor_id')
  if (target !== undefined) query.where('a.target', target)
  if (olderThan !== undefined) query.where('a.id', '<', olderThan)
  return query
    .orderBy('a.id', 'desc')
    .limit(limit)
    .select(
      'a.id',
      'a.created_at as at',
      'u.email as actor',
      'a.action',
      'a.target',
      'a.before',
      'a.after',
      'a.request_id as requestId',
    )
}
