/** From the columns of a flood to what is said of it. */
import type { FloodResult } from '../load/flood.ts'

/** Milliseconds: from when a request was due, and from when it was sent. */
export interface Latency {
  count: number
  due: Percentiles
  sent: Percentiles
}

interface Percentiles {
  p50: number
  p99: number
  max: number
}

export interface Part {
  offered: number
  /** Purchases answered with 202. */
  accepted: Latency
  /** Purchases answered with an error. */
  refused: Latency
  /** Requests for a reservation that were answered with it. */
  asked: Latency
  /** Number of requests by error, `ask` before the name when it was one for a reservation. */
  errors: Record<string, number>
  /** Refusals of OVERLOADED that did not tell when to try again. */
  withoutRetryAfter: number
  /** Sent, and never answered. */
  unanswered: number
}

/** Of the requests that were due in a part of the time. */
export function partOf(flood: FloodResult, fromMs: number, untilMs: number): Part {
  const rows: Record<'accepted' | 'refused' | 'asked', number[]> = { accepted: [], refused: [], asked: [] }
  const part = { offered: 0, errors: {} as Record<string, number>, withoutRetryAfter: 0, unanswered: 0 }
  const { dueMs, status, isAsk } = flood
  for (let i = firstFrom(dueMs, fromMs); i < dueMs.length && (dueMs[i] ?? NaN) < untilMs; i++) {
    part.offered++
    const answer = status[i] ?? 0
    if (answer === 0) part.unanswered += Number(!Number.isNaN(flood.sentMs[i]))
    else if (answer >= 400) {
      const name = `${isAsk[i] === 1 ? 'ask ' : ''}${flood.errors[flood.error[i] ?? 0]}`
      part.errors[name] = (part.errors[name] ?? 0) + 1
      if (answer === 503) part.withoutRetryAfter += 1 - (flood.retryAfter[i] ?? 0)
      if (isAsk[i] === 0) rows.refused.push(i)
    } else rows[isAsk[i] === 1 ? 'asked' : 'accepted'].push(i)
  }
  return {
    ...part,
    accepted: latencyOf(flood, rows.accepted),
    refused: latencyOf(flood, rows.refused),
    asked: latencyOf(flood, rows.asked),
  }
}

const WINDOW_MS = 1_000
const STEP_MS = 100

/**
 * From which moment on a window of a second has its p99 of accepted purchases within a limit.
 * @returns milliseconds after `fromMs`; undefined when that does not happen before `untilMs`
 */
export function calmAfter(
  flood: FloodResult,
  limitMs: number,
  fromMs: number,
  untilMs: number,
): number | undefined {
  for (let at = fromMs; at + WINDOW_MS <= untilMs; at += STEP_MS) {
    const { accepted } = partOf(flood, at, at + WINDOW_MS)
    if (accepted.count > 0 && accepted.due.p99 <= limitMs) return at - fromMs
  }
  return undefined
}

function latencyOf({ dueMs, sentMs, answeredMs }: FloodResult, rows: readonly number[]): Latency {
  const since = (column: Float64Array) =>
    percentilesOf(rows.map((i) => (answeredMs[i] ?? NaN) - (column[i] ?? NaN)))
  return { count: rows.length, due: since(dueMs), sent: since(sentMs) }
}

function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = Float64Array.from(values).sort()
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? NaN }
}

/** The first request that was due at a time or after it. */
function firstFrom(dueMs: Float64Array, fromMs: number): number {
  let [low, high] = [0, dueMs.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((dueMs[middle] ?? NaN) < fromMs) low = middle + 1
    else high = middle
  }
  return low
}
