/**
 * The live page of one process: however many tabs watch an event, its figures are read once and put into words once,
 * and every tab is sent the same text.
 */
import type { Logger } from '../../src/platform/logger.ts'
import { EventStream, eventText } from '../../src/platform/event-stream.ts'
import pLimit from 'p-limit'
import { Collector } from './collector.ts'
import { Part } from './part.ts'
import type { LagFigures, LiveReaders } from './readers.ts'
import type { LiveHistory, LiveView } from './wire.ts'

const MAX_TABS = 500
const LIMITS = {
  /** What a tab may leave unread before it is dropped; it comes again by itself, and starts anew. */
  maxUnreadBytes: 256 * 1_024,
  /** A page is shown with what there is by then. */
  firstWithinMs: 3_000,
  /** How long an event is read on without a tab: one whose page is loading, or is loaded again, finds it at work. */
  graceMs: 3_000,
}
const CHECK_MS = 5_000
/** Every look at a queue of the broker costs it a channel. */
const LAG_PAUSE_MS = 2_000

/** Who watches, and whether they still may. */
export interface Watcher {
  sessionId: string
  stillAllowed: () => Promise<boolean>
}

interface Tab extends Watcher {
  stream: EventStream
  /** No more is sent to it. */
  leave: () => void
}

interface Watched {
  collector: Collector
  ready: Promise<void>
  tabs: Set<Tab>
  /** Ends it when nobody comes. */
  grace: NodeJS.Timeout | undefined
}

export class LiveHub {
  readonly #readers: LiveReaders
  readonly #log: Logger
  readonly #watched = new Map<string, Watched>()
  readonly #endings = new Set<Promise<void>>()
  #lag: Part<LagFigures> | undefined
  #checks: NodeJS.Timeout | undefined
  #stopped = false
  #sequence = 0
  readonly #limits: typeof LIMITS

  constructor(readers: LiveReaders, log: Logger, limits: Partial<typeof LIMITS> = {}) {
    // Several events may be watched: the walks over them take turns.
    const turn = pLimit(1)
    this.#readers = { ...readers, books: (id, earlier) => turn(() => readers.books(id, earlier)) }
    this.#log = log
    this.#limits = { ...LIMITS, ...limits }
  }

  /** What the page of an event shows now, for a first look. */
  async look(eventId: string): Promise<LiveView> {
    const watched = this.#watch(eventId)
    await watched.ready
    if (watched.tabs.size === 0) this.#awaitTabs(eventId, watched)
    return watched.collector.view()
  }

  /** What is known of an event that somebody watches; undefined when nobody does, and then nothing is read. */
  latest(eventId: string): LiveView | undefined {
    return this.#watched.get(eventId)?.collector.view()
  }

  /**
   * Opens a stream for a tab: first what was before, then what is, and every change from then on.
   * @returns undefined when this process has no room, or stops
   */
  async join(eventId: string, watcher: Watcher): Promise<EventStream | undefined> {
    if (this.#stopped || this.#tabs().length >= MAX_TABS) return undefined
    const watched = this.#watch(eventId)
    await watched.ready
    if (this.#stopped) return undefined
    const stream = new EventStream()
    const leave = () => this.#leave(eventId, watched, tab)
    const tab: Tab = { ...watcher, stream, leave }
    clearTimeout(watched.grace)
    watched.tabs.add(tab)
    stream.once('close', leave)
    this.#checks ??= setInterval(() => void this.#check(), CHECK_MS)
    stream.sendText(this.#text('history', watched.collector.history))
    stream.sendText(this.#text('view', watched.collector.view()))
    return stream
  }

  /** Ends all streams at once, and resolves when nothing is read any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#checks)
    for (const tab of this.#tabs()) dismiss(tab)
    for (const [eventId, watched] of this.#watched) this.#forget(eventId, watched)
    await Promise.all(this.#endings)
  }

  #watch(eventId: string): Watched {
    const found = this.#watched.get(eventId)
    if (found !== undefined) return found
    const tabs = new Set<Tab>()
    const collector = new Collector(eventId, {
      readers: this.#readers,
      lag: this.#readLag(),
      log: this.#log,
      tell: (view) => this.#tell(tabs, view),
    })
    const ready = within(this.#limits.firstWithinMs, collector.start())
    const watched: Watched = { collector, ready, tabs, grace: undefined }
    this.#watched.set(eventId, watched)
    return watched
  }

  /** The queues are the same for all events. */
  #readLag(): Part<LagFigures> {
    if (this.#lag !== undefined) return this.#lag
    this.#lag = new Part({
      read: () => this.#readers.lag(),
      pauseMs: () => LAG_PAUSE_MS,
      away: 'Stores and broker do not answer.',
      changed: () => this.#watched.forEach(({ collector }) => collector.changed()),
      log: this.#log,
    })
    this.#lag.start()
    return this.#lag
  }

  #tell(tabs: ReadonlySet<Tab>, view: LiveView): void {
    if (tabs.size === 0) return
    const text = this.#text('view', view)
    for (const { stream } of tabs) {
      if (stream.readableLength > this.#limits.maxUnreadBytes) stream.destroy()
      else stream.sendText(text)
    }
  }

  #text(event: 'view' | 'history', data: LiveView | LiveHistory): string {
    return eventText(event, String(++this.#sequence), data)
  }

  #leave(eventId: string, watched: Watched, tab: Tab): void {
    if (!watched.tabs.delete(tab)) return
    if (!this.#stopped && watched.tabs.size === 0) this.#awaitTabs(eventId, watched)
  }

  #awaitTabs(eventId: string, watched: Watched): void {
    clearTimeout(watched.grace)
    if (this.#watched.get(eventId) !== watched) return // stopped meanwhile
    watched.grace = setTimeout(() => this.#forget(eventId, watched), this.#limits.graceMs)
  }

  #forget(eventId: string, watched: Watched): void {
    clearTimeout(watched.grace)
    this.#watched.delete(eventId)
    this.#end(watched.collector.stop())
    if (this.#watched.size > 0 || this.#lag === undefined) return
    this.#end(this.#lag.stop())
    this.#lag = undefined
  }

  #end(ending: Promise<void>): void {
    this.#endings.add(ending)
    void ending.finally(() => this.#endings.delete(ending))
  }

  #tabs(): Tab[] {
    return [...this.#watched.values()].flatMap(({ tabs }) => [...tabs])
  }

  /** Once for each session, however many tabs it has. While that can't be told, nobody is sent away. */
  async #check(): Promise<void> {
    const answers = new Map<string, Promise<boolean>>()
    for (const { sessionId, stillAllowed } of this.#tabs())
      if (!answers.has(sessionId))
        answers.set(
          sessionId,
          stillAllowed().catch(() => true),
        )
    const allowed = new Map<string, boolean>()
    for (const [sessionId, answer] of answers) allowed.set(sessionId, await answer)
    for (const tab of this.#tabs()) {
      if (allowed.get(tab.sessionId) === false) dismiss(tab)
      else tab.stream.comment()
    }
  }
}

function dismiss({ stream, leave }: Tab): void {
  leave()
  stream.finish()
}

async function within(limitMs: number, tried: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)))
  await Promise.race([tried, limit])
  clearTimeout(timer)
}
