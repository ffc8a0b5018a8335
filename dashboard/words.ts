/** Numbers and states as people read them. */
import type { FindingKind } from '../src/reconcile.ts'
import type { Outcome } from '../src/reserve/outcome-counts.ts'
import type { Field, Tone } from './live/wire.ts'

/** What is not known is never shown as a number. */
export const UNKNOWN: Field = { text: '?' }

const INTEGER = new Intl.NumberFormat('en')
const ONE_DIGIT = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })

export function count(n: number | null | undefined, tone?: Tone): Field {
  if (n === null || n === undefined) return UNKNOWN
  return tone === undefined ? { text: INTEGER.format(n) } : { text: INTEGER.format(n), tone }
}

/** A number that should be 0. */
export function fault(n: number | null | undefined, tone: Tone = 'bad'): Field {
  return n === 0 ? count(n) : count(n, tone)
}

export function rate(perSecond: number | null | undefined): Field {
  if (perSecond === null || perSecond === undefined) return UNKNOWN
  return { text: perSecond < 10 ? ONE_DIGIT.format(perSecond) : INTEGER.format(Math.round(perSecond)) }
}

export function milliseconds(ms: number | null | undefined): Field {
  return ms === null || ms === undefined ? { text: '–' } : { text: span(ms) }
}

/** An age that gets a colour: above 10 s somebody should look, above a minute something is stuck. */
export function age(ms: number | null | undefined): Field {
  if (ms === null || ms === undefined) return { text: '–' }
  if (ms > 60_000) return { text: span(ms), tone: 'bad' }
  return ms > 10_000 ? { text: span(ms), tone: 'warn' } : { text: span(ms) }
}

/** @param ms a length of time */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 10_000) return `${ONE_DIGIT.format(ms / 1_000)} s`
  const s = Math.round(ms / 1_000)
  if (s < 120) return `${s} s`
  return s < 7_200
    ? `${Math.floor(s / 60)} min ${s % 60} s`
    : `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`
}

export function percent(part: number, whole: number): string {
  return whole === 0 ? '–' : `${ONE_DIGIT.format((100 * part) / whole)} %`
}

/** @param minor amount in minor units */
export function money(minor: number, currency: string): Field {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency })
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2
  return { text: format.format(minor / 10 ** digits) }
}

/** The time of day in UTC; the browser's script shows its own. */
export function timeOfDay(ms: number): string {
  return `${new Date(ms).toISOString().slice(11, 19)} UTC`
}

export function units(n: number): string {
  return `${INTEGER.format(n)} unit${n === 1 ? '' : 's'}`
}

export const OUTCOME_WORDS: Record<Outcome, string> = {
  accepted: 'accepted',
  existing: 'has bought already',
  not_started: 'too early',
  quantity_limit: 'too many at once',
  paused: 'paused',
  ended: 'over',
  lapse_limit: 'too many lapses',
  all_held: 'all held',
  sold_out: 'sold out',
}

export const FINDING_WORDS: Record<FindingKind, string> = {
  unconfirmed: 'ordered, but Redis has no verdict on it',
  unpaid: 'paid, but Redis knows the order only',
  unheld: 'its buyer may take more than allowed',
  unreleased: 'let go, but Redis holds its units still',
  barred: 'given back, but its buyer is held by it still',
  released_alive: 'ordered, but Redis has given its units away',
  unfounded: 'Redis has a verdict that PostgreSQL never gave',
  stranded: 'a buyer is held by a reservation that nobody knows',
  lost: 'Redis has no usable gate for this sale: it is being rebuilt, or has to be',
  miscounted: 'free and held units in Redis are not the granted ones',
  misgranted: 'Redis has granted other units than the stock ledger says',
}
