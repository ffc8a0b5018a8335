/** From rounds to figures. */
import type { Ratio, RatioId, Sample } from '../ratio.ts'

export interface Spread {
  median: number
  min: number
  max: number
}

export interface Round {
  subject: Sample
  reference: Sample
}

/** One ratio as it was measured, ready for table, JSON and chart. */
export interface Measured {
  id: RatioId
  what: string
  unit: string
  goal: Ratio['goal']
  rounds: Round[]
  subject: Spread
  reference: Spread
  /** Of the ratios of the rounds, each of two measurements that follow each other. */
  ratio: Spread
  /** Whether the median is within the goal. */
  met: boolean
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const [low = NaN, high = NaN] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]]
  return (low + high) / 2
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

export function summarise({ id, what, unit, goal }: Ratio, rounds: Round[]): Measured {
  const ratio = spreadOf(rounds.map(({ subject, reference }) => subject.value / reference.value))
  return {
    id,
    what,
    unit,
    goal,
    rounds,
    subject: spreadOf(rounds.map((round) => round.subject.value)),
    reference: spreadOf(rounds.map((round) => round.reference.value)),
    ratio,
    met: ratio.median >= (goal.atLeast ?? -Infinity) && ratio.median <= (goal.atMost ?? Infinity),
  }
}

export function goalText({ atLeast, atMost }: Ratio['goal']): string {
  return atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`
}

/** Three digits that matter, and whole numbers from a hundred on. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}

export function spreadText({ median: middle, min, max }: Spread): string {
  return `${figure(middle)} [${figure(min)} .. ${figure(max)}]`
}
