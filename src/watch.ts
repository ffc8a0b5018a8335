/** Tells whoever waits on a reservation its present state and every change after it, up to the verdict. */
import type { Logger } from './platform/logger.ts'
import type { Subscriber } from './platform/redis/subscriber.ts'
import { spikeKeys } from './reserve/keys.ts'
import type { Tracker, Tracking } from './track.ts'

/** Watches of one process; each is an open connection. */
const MAX_WATCHES = 5_000
/** Watches of one buyer: a few tabs and devices. */
const MAX_WATCHES_OF_USER = 10
const BEAT_MS = 15_000

/** The states in the order in which they follow each other. */
const STEPS: Record<Tracking['status'], number> = { reserving: 1, queued: 2, ordered: 3, void: 3 }
const LAST_STEP = 3

export interface Listener {
  changed(tracking: Tracking): void
  /** Nothing new; called regularly, so that connections are kept awake. */
  beat(): void
  /** No more will come: the verdict was told, or this process stops. */
  ended(): void
}

/** `full`: this process has no room. `too_many`: the buyer watches too much already. */
export type Watching =
  { kind: 'watching'; stop: () => void } | { kind: 'not_found' } | { kind: 'too_many' } | { kind: 'full' }

interface WatchDependencies {
  tracker: Tracker
  subscriber: Subscriber
  log: Logger
  beatMs?: number
}

export class Watcher {
  readonly #deps: WatchDependencies
  readonly #watches = new Set<Watch>()
  readonly #ofUser = new Map<string, number>()
  #stopped = false

  constructor(deps: WatchDependencies) {
    this.#deps = deps
  }

  /** Watches that are open now. */
  get count(): number {
    return this.#watches.size
  }

  /**
   * Begins to watch a rid for its buyer. The present state is told before this resolves.
   * @throws when the stores do not answer
   */
  async watch(rid: string, userId: string, listener: Listener): Promise<Watching> {
    const ofUser = this.#ofUser.get(userId) ?? 0
    if (this.#stopped || this.#watches.size >= MAX_WATCHES) return { kind: 'full' }
    if (ofUser >= MAX_WATCHES_OF_USER) return { kind: 'too_many' }
    const watch = new Watch(this.#deps, rid, userId, listener, () => this.#forget(watch, userId))
    this.#watches.add(watch)
    this.#ofUser.set(userId, ofUser + 1)
    try {
      if (await watch.begin()) return { kind: 'watching', stop: () => watch.end() }
    } catch (error) {
      watch.end()
      throw error
    }
    watch.end()
    return { kind: 'not_found' }
  }

  /** Ends all watches and takes no new ones; the watchers may come again, to another process. */
  stop(): void {
    this.#stopped = true
    for (const watch of this.#watches) watch.end()
  }

  #forget(watch: Watch, userId: string): void {
    this.#watches.delete(watch)
    const left = (this.#ofUser.get(userId) ?? 0) - 1
    if (left > 0) this.#ofUser.set(userId, left)
    else this.#ofUser.delete(userId)
  }
}

/** One listener on one rid. */
class Watch {
  readonly #deps: WatchDependencies
  readonly #rid: string
  readonly #userId: string
  readonly #listener: Listener
  readonly #forget: () => void
  readonly #leaves: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #step = 0
  #ended = false

  constructor(deps: WatchDependencies, rid: string, userId: string, listener: Listener, forget: () => void) {
    this.#deps = deps
    this.#rid = rid
    this.#userId = userId
    this.#listener = listener
    this.#forget = forget
  }

  /** @returns false when the buyer has no such rid */
  async begin(): Promise<boolean> {
    if (!(await this.#look())) return false
    if (this.#ended) return true
    for (const eventId of await this.#deps.tracker.eventsOf(this.#rid))
      await this.#join(spikeKeys(eventId).notices)
    await this.#look() // what changed before the subscription stood
    if (!this.#ended) this.#timer = setInterval(() => this.#beat(), this.#deps.beatMs ?? BEAT_MS)
    return true
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    clearInterval(this.#timer)
    for (const leave of this.#leaves) leave()
    this.#forget()
    this.#listener.ended()
  }

  async #join(channel: string): Promise<void> {
    const leave = await this.#deps.subscriber.join(channel, this.#rid, () => this.#lookAgain())
    if (this.#ended) leave()
    else this.#leaves.push(leave)
  }

  /** Notices may be lost: every beat looks by itself. */
  #beat(): void {
    this.#listener.beat()
    this.#lookAgain()
  }

  #lookAgain(): void {
    this.#look().catch((error: unknown) =>
      this.#deps.log.warn(
        { err: error, rid: this.#rid },
        'watched reservation not read, the next beat tries again',
      ),
    )
  }

  /**
   * Reads the state and tells it if it is further on. Answers may overtake each other, and a store that has lost
   * something may fall back: a listener only ever hears of the way forward.
   * @returns whether the buyer has such a rid
   */
  async #look(): Promise<boolean> {
    const tracking = await this.#deps.tracker.find(this.#rid, this.#userId)
    if (tracking === undefined) return false
    const step = STEPS[tracking.status]
    if (this.#ended || step <= this.#step) return true
    this.#step = step
    this.#listener.changed(tracking)
    if (step === LAST_STEP) this.end()
    return true
  }
}
