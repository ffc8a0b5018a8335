/** What the live page's stream carries; the browser's script takes its types from here, so this imports nothing. */

/** Figures that are read together, and are of one age. */
export const PART_NAMES = ['sale', 'gate', 'lag', 'books'] as const
export type PartName = (typeof PART_NAMES)[number]

export type Tone = 'ok' | 'warn' | 'bad'

/** The text of one place on the page. */
export interface Field {
  text: string
  tone?: Tone
}

export interface PartState {
  /** When it was true, by the clock of its store; null before the first answer. */
  asOfMs: number | null
  /** For how long it has been in this process. */
  ageMs: number | null
  /** From which age on it is old. */
  staleMs: number
  /** Why there is nothing newer, in words. */
  trouble: string | null
}

export interface FindingLine {
  /** Null for what is wrong with the event as a whole. */
  rid: string | null
  text: string
}

/** Milliseconds since 1970, then a value for each line of a chart; null where there is none. */
export type Point = (number | null)[]

/** Points of the charts, the oldest first. */
export interface LiveHistory {
  /** Units free, then requests a second by group. */
  pulse: Point[]
  /** p50 and p99 of decisions, in ms. */
  decisions: Point[]
}

export interface LiveView {
  title: string
  /** It decides what can be done; null while it is not known. */
  status: string | null
  /** What is said aloud when it changes. */
  announcement: string
  /** The window, and what the clock that judges it says now. */
  clock: { nowMs: number; startMs: number; endMs: number; ended: boolean } | null
  fields: Record<string, Field>
  parts: Record<PartName, PartState>
  /** Shares of the meter's bar, in units. */
  meter: { name: string; units: number }[]
  findings: FindingLine[]
  /** What each chart shows now, in words. */
  charts: Record<'stock' | 'requests' | 'decisions', string>
  /** When the last unit will go, by the clock of Redis. */
  sellOutMs: number | null
  /** The newest point of each chart. */
  latest: { pulse: Point | null; decisions: Point | null }
}
