/** Speeds that are worked out from counts which were read one after the other. No clock and no store is asked. */
import { ERROR_OF_OUTCOME, type Outcome } from '../reserve/outcome-counts.ts'

/** Every way in which a purchase request may end, `accepted` first. */
export const OUTCOMES: readonly Outcome[] = [
  'accepted',
  ...(Object.keys(ERROR_OF_OUTCOME) as (keyof typeof ERROR_OF_OUTCOME)[]),
]

export interface CountPoint {
  atMs: number
  counts: Partial<Record<Outcome, number>>
}

/**
 * Requests a second between the last point and the one that lies `windowMs` before it, or nearest to that. Counts
 * that have fallen belong to a Redis that has forgotten: they begin at 0.
 * @param points the oldest first @returns null when there is nothing to compare
 */
export function ratesOver(points: readonly CountPoint[], windowMs: number): Record<Outcome, number> | null {
  const last = points.at(-1)
  if (last === undefined) return null
  const first = points.find((point) => point.atMs >= last.atMs - windowMs)
  if (first === undefined || first.atMs >= last.atMs) return null
  const seconds = (last.atMs - first.atMs) / 1_000
  const rate = (outcome: Outcome): number => {
    const [before, now] = [first.counts[outcome] ?? 0, last.counts[outcome] ?? 0]
    return (now < before ? now : now - before) / seconds
  }
  return Object.fromEntries(OUTCOMES.map((outcome) => [outcome, rate(outcome)])) as Record<Outcome, number>
}

export interface FreePoint {
  atMs: number
  free: number
}

/** When the last free unit will go if units go on going like this; `perSecond` is units. */
export interface Projection {
  atMs: number
  perSecond: number
}

/** Points that are fewer say nothing of a direction. */
const MIN_POINTS = 3

/**
 * A straight line, by least squares, through the free units of the last `windowMs`; units that were added or came back
 * begin it anew.
 * @param points the oldest first @returns null when units are not falling, or are gone, or nobody can tell yet
 */
export function projectSellOut(points: readonly FreePoint[], windowMs: number): Projection | null {
  const last = points.at(-1)
  if (last === undefined || last.free <= 0) return null
  const rise = points.findLastIndex((point, i) => point.free > (points[i - 1]?.free ?? Infinity))
  const recent = points.slice(Math.max(0, rise)).filter((point) => point.atMs >= last.atMs - windowMs)
  if (recent.length < MIN_POINTS) return null
  const meanAt = mean(recent.map((point) => point.atMs))
  const meanFree = mean(recent.map((point) => point.free))
  let [along, across] = [0, 0]
  for (const { atMs, free } of recent) {
    along += (atMs - meanAt) ** 2
    across += (atMs - meanAt) * (free - meanFree)
  }
  const perMs = along === 0 ? 0 : -across / along
  return perMs > 0 ? { atMs: last.atMs + last.free / perMs, perSecond: perMs * 1_000 } : null
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
