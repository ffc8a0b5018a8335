/** What PostgreSQL says should have been done by now. */
import type { Knex } from 'knex'

export interface Duties {
  /** Pending orders more than `OVERDUE_AFTER_S` past their deadline: neither their job nor the scanner has come. */
  overdueOrders: number
  /** Refunds that the provider has not answered for. */
  openRefunds: number
  /** Age of the oldest of them; null when there is none. */
  oldestRefundMs: number | null
}

/** The scanner looks every 5 s. */
const OVERDUE_AFTER_S = 10

/** Reads what is due, by PostgreSQL's clock; each part is a scan of an index that holds nothing else. */
export async function readDuties(knex: Knex): Promise<Duties> {
  const { rows } = await knex.raw(
    `SELECT (SELECT count(*) FROM orders
              WHERE status = 'pending' AND expires_at < now() - ? * interval '1 second') AS overdue,
            (SELECT count(*) FROM refunds WHERE status = 'open') AS refunds,
            (SELECT (extract(epoch FROM now() - created_at) * 1000)::int8
               FROM refunds WHERE status = 'open' ORDER BY created_at LIMIT 1) AS refund_age_ms`,
    [OVERDUE_AFTER_S],
  )
  const [{ overdue, refunds, refund_age_ms: ageMs }] = rows
  return {
    overdueOrders: overdue,
    openRefunds: refunds,
    oldestRefundMs: ageMs === null ? null : Math.max(0, ageMs),
  }
}
