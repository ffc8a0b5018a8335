/** What a campaign has shown, in Markdown. */
import type { Judgement } from './checker.ts'
import { isKept, type RunResult } from './run.ts'

const COUNTS = ['oversold', 'duplicates', 'lost', 'phantom', 'drift'] as const

export interface Totals extends Record<(typeof COUNTS)[number], number> {
  runs: number
  broken: number
  told: number
  orders: number
  unanswered: number
  /** The longest time from the end of the last fault until everything was at rest. */
  slowestS: number
}

export function totalsOf(results: readonly RunResult[]): Totals {
  const sum = (of: (judgement: Judgement) => number) =>
    results.reduce((total, { judgement }) => total + of(judgement), 0)
  return {
    runs: results.length,
    broken: results.filter(({ judgement }) => !isKept(judgement)).length,
    oversold: sum((j) => j.oversold),
    duplicates: sum((j) => j.duplicates),
    lost: sum((j) => j.lost),
    phantom: sum((j) => j.phantom),
    drift: sum((j) => Math.abs(j.drift)),
    unanswered: sum((j) => j.unanswered),
    told: sum((j) => j.told),
    orders: sum((j) => j.orders),
    slowestS: Math.max(0, ...results.map(({ judgement }) => judgement.settledAfterMs)) / 1_000,
  }
}

/** One line of figures, the last one of the command. */
export function lineOf(totals: Totals): string {
  const counts = COUNTS.map((name) => `${name} ${totals[name]}`).join(', ')
  return `${totals.runs} runs, ${totals.broken} broken: ${counts}; ${totals.told} reservations told, ${totals.orders} orders, slowest rest ${totals.slowestS.toFixed(1)} s after the last fault`
}

/** A table of every kind of fault: how often it struck, and in how many of these runs a promise was broken. */
export function markdownOf(results: readonly RunResult[]): string {
  const kinds = new Map<string, { runs: number; times: number; broken: number; slowestS: number }>()
  for (const { marks, judgement } of results)
    for (const { name, times } of marks) {
      const row = kinds.get(name) ?? { runs: 0, times: 0, broken: 0, slowestS: 0 }
      row.runs++
      row.times += times
      if (!isKept(judgement)) row.broken++
      row.slowestS = Math.max(row.slowestS, judgement.settledAfterMs / 1_000)
      kinds.set(name, row)
    }
  const seeds = results.map(({ plan }) => plan.seed)
  const rows = [...kinds].toSorted(([a], [b]) => a.localeCompare(b))
  return [
    `${lineOf(totalsOf(results))}. Seeds ${Math.min(...seeds)} to ${Math.max(...seeds)}.`,
    '',
    '| fault | runs | struck | broken runs | slowest rest |',
    '| --- | --: | --: | --: | --: |',
    ...rows.map(
      ([name, row]) =>
        `| ${name} | ${row.runs} | ${row.times} | ${row.broken} | ${row.slowestS.toFixed(1)} s |`,
    ),
    '',
  ].join('\n')
}
