/** What happens in one run: a pure function of its seed, so that a run that failed can be run again. */
import { randomOf } from '../support/random.ts'

export interface Strike {
  fault: string
  /** Milliseconds after the sale has opened. */
  atMs: number
}

export interface RunPlan {
  seed: number
  units: number
  buyers: number
  rushMs: number
  payShare: number
  cancelShare: number
  paymentWindowS: number
  strikes: Strike[]
  /** Changes of the event by an admin while it runs. */
  edits: { atMs: number; kind: 'stock' | 'pause'; delta: number }[]
}

/** Kinds of fault to choose from: those from outside, and the fail points. */
export interface Deck {
  outside: readonly string[]
  failpoints: readonly string[]
}

/**
 * Consecutive seeds go through the deck one card after the other, so that N runs strike each kind about as often as
 * every other: each run has one fail point and one fault from outside, every third run one more of those.
 */
export function planRun(seed: number, deck: Deck): RunPlan {
  const random = randomOf(seed)
  const between = (from: number, to: number) => from + random.below(to - from + 1)
  const faults = [card(deck.failpoints, seed), card(deck.outside, seed)]
  if (seed % 3 === 0) faults.push(card(deck.outside, seed + Math.floor(deck.outside.length / 2)))
  const units = between(20, 60)
  return {
    seed,
    units,
    buyers: units * 2 + random.below(units),
    rushMs: between(2_000, 5_000),
    payShare: between(40, 80) / 100,
    cancelShare: 0.1,
    paymentWindowS: between(2, 4),
    strikes: faults.map((fault) => ({ fault, atMs: between(0, 3_000) })).toSorted((a, b) => a.atMs - b.atMs),
    edits: Array.from({ length: random.below(4) }, () => ({
      atMs: between(500, 6_000),
      kind: random.chance(0.75) ? ('stock' as const) : ('pause' as const),
      delta: between(-5, 8) || 1,
    })),
  }
}

/** Damage that makes a place be passed which nothing passes in a quiet run. */
const COMPANIONS: Record<string, string> = { 'log-relay': 'memory-alarm', reconcile: 'damage-redis' }

/** A run for one fail point, with buyers coming as long as it is armed. */
export function planFailpoint(fault: string, seed: number): RunPlan {
  const companion = COMPANIONS[/^failpoint ([a-z-]+)/.exec(fault)?.[1] ?? '']
  return {
    seed,
    units: 80,
    buyers: 160,
    rushMs: 10_000,
    payShare: 0.6,
    cancelShare: 0.1,
    paymentWindowS: 2,
    strikes: [{ fault, atMs: 0 }, ...(companion === undefined ? [] : [{ fault: companion, atMs: 4_000 }])],
    edits: [],
  }
}

/** The card of a seed: each turn through the deck has an order of its own. */
function card(deck: readonly string[], position: number): string {
  const turn = Math.floor(position / deck.length)
  const drawn = randomOf(turn).shuffled(deck)[position % deck.length]
  if (drawn === undefined) throw new Error('an empty deck')
  return drawn
}
