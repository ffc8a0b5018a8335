/** One measurement of one side (subject or reference) of a ratio. */
export interface Sample {
  /** In the unit of the ratio it belongs to: a rate per second, or what `Ratio.unit` says. */
  value: number
  /** Side figures of the same round (a p50, an error count, ...): shown by name, never compared with a goal. */
  extra?: Record<string, number>
}

/** What a ratio gets from the harness. */
export interface BenchWorld {
  /** The whole environment for processes: service URLs and the application's secrets. */
  env: NodeJS.ProcessEnv
  /** How long one measurement may load its target, in seconds. */
  seconds: number
  /** True with `--big`: the sizes of the goal itself instead of the quick ones. */
  big: boolean
  /** A progress line on stderr. */
  say: (line: string) => void
  /** Registers something to undo at the end, also when the ratio fails; runs last-in, first-out. */
  cleanup: (task: () => unknown) => void
}

export type RatioId = 'P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6'

/** Subject and reference, made ready to be measured many times, one after the other. */
export interface OpenRatio {
  subject(): Promise<Sample>
  reference(): Promise<Sample>
  close(): Promise<void>
}

/** A goal written as a ratio, so that it means the same on a slow and on a fast machine: subject / reference. */
export interface Ratio {
  id: RatioId
  /** What is compared with what, in one line. */
  what: string
  /** Of both absolute figures, e.g. `orders/s` or `us`. */
  unit: string
  /** One ratio may hold one bound; P4, with two networks, is two ratios with the same id. */
  goal: { atLeast?: number; atMost?: number }
  open(world: BenchWorld): Promise<OpenRatio>
}
