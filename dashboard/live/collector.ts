/** Reads the figures of one event for everybody who watches it. */
import { projectSellOut, ratesOver, type CountPoint, type FreePoint } from '../../src/figures/rates.ts'
import type { Logger } from '../../src/platform/logger.ts'
import type { Books, GateFigures, SaleFigures } from '../../src/snapshot.ts'
import { Part } from './part.ts'
import type { LagFigures, LiveReaders } from './readers.ts'
import { GROUPS, viewOf } from './view.ts'
import type { LiveHistory, LiveView, Point } from './wire.ts'

/** Points kept for whoever comes later: ten minutes of pulses. */
const POINTS = 600
/** Counts come once a second from each process of the API, so a shorter window would jump. */
const RATE_WINDOW_MS = 4_000
const PROJECTION_WINDOW_MS = 15_000
const PULSE_MS = 1_000
/** Part of the time for which the books may keep the stores busy, as a divisor. */
const BOOKS_SHARE = 10
/** What comes in together is told together. */
const TOLD_AFTER_MS = 100

/** As often as once a second, whatever the reading takes. */
function pulsePause(tookMs: number): number {
  return Math.max(100, PULSE_MS - tookMs)
}

export class Collector {
  readonly #sale: Part<SaleFigures>
  readonly #gate: Part<GateFigures>
  readonly #books: Part<Books>
  readonly #lag: Part<LagFigures>
  readonly #tell: (view: LiveView) => void
  readonly #history: LiveHistory = { pulse: [], decisions: [] }
  #counts: CountPoint[] = []
  #free: FreePoint[] = []
  #timer: NodeJS.Timeout | undefined

  /** @param tell called with what is to be shown now, whenever something of it was read */
  constructor(
    eventId: string,
    deps: { readers: LiveReaders; lag: Part<LagFigures>; log: Logger; tell: (view: LiveView) => void },
  ) {
    const { readers, log } = deps
    this.#lag = deps.lag
    this.#tell = deps.tell
    const changed = () => this.changed()
    this.#sale = new Part({
      read: async () => present(await readers.sale(eventId), eventId),
      pauseMs: pulsePause,
      away: 'PostgreSQL does not answer.',
      changed,
      log,
    })
    this.#gate = new Part({
      read: async () => this.#notePulse(await readers.gate(eventId)),
      pauseMs: pulsePause,
      away: 'The Redis of the stock does not answer.',
      changed,
      log,
    })
    this.#books = new Part({
      read: async (earlier) => this.#noteBooks(present(await readers.books(eventId, earlier), eventId)),
      pauseMs: (tookMs) => Math.max(2 * PULSE_MS, BOOKS_SHARE * tookMs),
      away: 'PostgreSQL or the Redis of the stock does not answer.',
      changed,
      log,
    })
  }

  /** Resolves when every part was tried once. */
  async start(): Promise<void> {
    const parts = [this.#sale, this.#gate, this.#books]
    for (const part of parts) part.start()
    await Promise.all([...parts, this.#lag].map((part) => part.tried))
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await Promise.all([this.#sale.stop(), this.#gate.stop(), this.#books.stop()])
    clearTimeout(this.#timer)
  }

  /** A part was read, or could not be. */
  changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#tell(this.view())
    }, TOLD_AFTER_MS)
  }

  view(): LiveView {
    return viewOf({
      sale: this.#sale,
      gate: this.#gate,
      books: this.#books,
      lag: this.#lag,
      rates: ratesOver(this.#counts, RATE_WINDOW_MS),
      projection: projectSellOut(this.#free, PROJECTION_WINDOW_MS),
      latest: {
        pulse: this.#history.pulse.at(-1) ?? null,
        decisions: this.#history.decisions.at(-1) ?? null,
      },
    })
  }

  get history(): LiveHistory {
    return this.#history
  }

  #notePulse(figures: GateFigures): GateFigures {
    const { asOfMs, gate, outcomes } = figures
    this.#counts = [...since(this.#counts, asOfMs - 2 * RATE_WINDOW_MS), { atMs: asOfMs, counts: outcomes }]
    if (gate === undefined) this.#free = []
    else
      this.#free = [...since(this.#free, asOfMs - PROJECTION_WINDOW_MS), { atMs: asOfMs, free: gate.stock }]
    const rates = ratesOver(this.#counts, RATE_WINDOW_MS)
    const perGroup = GROUPS.map(({ outcomes }) =>
      rates === null ? null : outcomes.reduce((sum, outcome) => sum + rates[outcome], 0),
    )
    keep(this.#history.pulse, [asOfMs, gate?.stock ?? null, ...perGroup])
    return figures
  }

  #noteBooks(books: Books): Books {
    const { p50, p99 } = books.recentDecisions
    keep(this.#history.decisions, [books.asOfMs, p50, p99])
    return books
  }
}

function since<T extends { atMs: number }>(points: readonly T[], fromMs: number): T[] {
  return points.filter((point) => point.atMs >= fromMs)
}

function keep(points: Point[], point: Point): void {
  points.push(point)
  if (points.length > POINTS) points.shift()
}

/** The page exists only for events that were there, and events are never deleted. */
function present<T>(figures: T | undefined, eventId: string): T {
  if (figures === undefined) throw new Error(`event ${eventId} is gone`)
  return figures
}
