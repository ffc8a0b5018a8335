/** What the demo prints at its end. */
import type { Knex } from 'knex'
import { oversold, type Facts, type Invariant } from '../../src/figures/invariants.ts'
import type { CrowdLog } from './crowd.ts'

export interface Timing {
  /** Reserve to verdict, in ms, over all reservations. */
  decisionP50: number
  decisionP99: number
  /** Orders of the first rush a second, from its first reservation to the commit of its last order. */
  durableOrdersPerS: number
}

/**
 * Reads the times from PostgreSQL: `reserved_at` is Redis's clock, `decided_at` PostgreSQL's, on one machine.
 * @param units the first rush are the first so many verdicts
 */
export async function readTiming(knex: Knex, eventId: string, units: number): Promise<Timing> {
  const { rows } = await knex.raw(
    `WITH decided AS (
       SELECT reserved_at, decided_at, extract(epoch FROM decided_at - reserved_at) * 1000 AS ms
         FROM reservations WHERE event_id = :eventId AND decided_at IS NOT NULL
     ), rush AS (
       SELECT * FROM decided ORDER BY reserved_at LIMIT :units
     )
     SELECT (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FROM decided) AS p50,
            (SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) FROM decided) AS p99,
            (SELECT count(*) / nullif(extract(epoch FROM max(decided_at) - min(reserved_at)), 0) FROM rush) AS rate`,
    { eventId, units },
  )
  const { p50, p99, rate } = rows[0]
  return { decisionP50: Number(p50), decisionP99: Number(p99), durableOrdersPerS: Number(rate) }
}

export interface DemoResult {
  buyers: number
  granted: number
  crowd: CrowdLog
  facts: Facts
  timing: Timing
  returned: number
  settleMs: number
  saleMs: number
}

export function resultTable(result: DemoResult): string {
  const { crowd, facts, timing, granted } = result
  const { ledger, redis } = facts
  const rows: [string, string | number][] = [
    ['buyers', result.buyers],
    ['units granted', granted],
    ['purchase requests', crowd.attempts],
    ['accepted (202)', crowd.accepted],
    ...[...crowd.rejected].sort().map(([reason, n]): [string, number] => [`rejected: ${reason}`, n]),
    ['ordered', ledger.ordered],
    ['paid', ledger.paid],
    ['lapsed', ledger.lapsed],
    ['released in Redis', redis === 'NOT_READY' ? '-' : redis.released],
    ['sold again', soldAgain(ledger.ordered, granted)],
    ['returned to inventory', result.returned],
    ['oversold', oversold({ live: ledger.live, granted })],
    ['leaked', leaked(facts, result)],
    ['decision p50', `${timing.decisionP50.toFixed(0)} ms`],
    ['decision p99', `${timing.decisionP99.toFixed(0)} ms`],
    ['durable orders/s', timing.durableOrdersPerS.toFixed(0)],
    ['sale', `${(result.saleMs / 1_000).toFixed(1)} s`],
    ['time to settle', `${(result.settleMs / 1_000).toFixed(1)} s`],
  ]
  return table(rows.map(([name, value]) => [name, String(value)]))
}

/** Units that were ordered beyond the granted ones can only be units that had come back. */
function soldAgain(ordered: number, granted: number): number {
  return Math.max(0, ordered - granted)
}

/** Units that are neither sold, nor free, nor back in the inventory. */
export function leaked(
  { ledger }: Facts,
  { granted, returned }: { granted: number; returned: number },
): number {
  return granted - ledger.live - ledger.available - returned
}

export function invariantTable(invariants: readonly Invariant[]): string {
  return table(invariants.map(({ name, ok, numbers }) => [ok ? 'ok' : 'BROKEN', name, numbers]))
}

function table(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_cell, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
  return rows
    .map(
      (row) =>
        `  ${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  ')}`,
    )
    .join('\n')
}
