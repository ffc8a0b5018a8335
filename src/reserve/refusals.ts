/** Refusals that this process knows by heart: when no unit is free, the same buyers ask again and again. */
import { Loop } from '../platform/loop.ts'
import type { Logger } from '../platform/logger.ts'
import type { Scripts } from '../platform/redis/define-script.ts'
import type { spikeScripts, Standing } from './scripts.ts'

/** A refusal that is the same for everybody who holds nothing. */
export type KnownRefusal = Exclude<Standing['kind'], 'other'>

/** How old what Redis has said may be; a crowd keeps it younger than that by itself. */
const BELIEVED_MS = 20
const REFRESHED_AFTER_MS = 5
/** How often generations are looked up for those who were not refused in one yet, and idle events forgotten. */
const LOOK_EVERY_MS = 200
/** After so long without a buyer, an event is not asked about any more. */
const IDLE_MS = 5_000
/** Buyers remembered of all events together, some hundred bytes each; more of them ask Redis. */
const MAX_BUYERS = 200_000

interface Known {
  kind: KnownRefusal
  /** Undefined until Redis was asked. */
  generation: string | undefined
  wantedAtMs: number
  /** When the question left that was answered last. */
  askedAtMs: number
  /** A question under way. */
  asking: Promise<void> | undefined
  /** Buyers who were refused in this generation. */
  refused: Set<string>
}

/**
 * Answers those who were refused before, while nobody has become a holder since and no unit is free. Redis is asked for
 * that again and again while they come, for all of them at once, and what it said is believed for `BELIEVED_MS`: who has
 * got a unit from another process may be refused by this one for so long. A Redis that does not answer is not spoken for.
 */
export class Refusals {
  readonly #scripts: Pick<Scripts<typeof spikeScripts>, 'standing'>
  readonly #loop: Loop
  readonly #events = new Map<string, Known>()
  #buyers = 0

  constructor(scripts: Pick<Scripts<typeof spikeScripts>, 'standing'>, log: Logger) {
    this.#scripts = scripts
    this.#loop = new Loop(() => this.#pass(), LOOK_EVERY_MS, log.child({ part: 'refusals' }))
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  /** Whether anybody is refused from memory at all: much cheaper than to ask for one buyer. */
  refuses(eventId: string): boolean {
    return this.#events.has(eventId)
  }

  /** What a buyer of one unit is refused with; undefined when Redis has to be asked for him. */
  find(eventId: string, userId: string): KnownRefusal | undefined | Promise<KnownRefusal | undefined> {
    const known = this.#events.get(eventId)
    if (known === undefined || !known.refused.has(userId)) return undefined
    const now = performance.now()
    known.wantedAtMs = now
    const ageMs = now - known.askedAtMs
    if (ageMs < REFRESHED_AFTER_MS) return known.kind
    // Where this fails, the event is forgotten, and whoever is asked for the unit itself tells of it.
    const asking = this.#ask(eventId, known).catch(() => undefined)
    return ageMs < BELIEVED_MS ? known.kind : asking.then(() => believed(known, userId))
  }

  /** As `find`, of what is known just now. */
  peek(eventId: string, userId: string): KnownRefusal | undefined {
    const found = this.find(eventId, userId)
    return typeof found === 'string' ? found : undefined
  }

  /** Tells that a buyer was given a unit here. */
  forget(eventId: string, userId: string): void {
    if (this.#events.get(eventId)?.refused.delete(userId)) this.#buyers--
  }

  /** The generation that an event is in, as far as is known here: read it before Redis is asked for a unit. */
  generationOf(eventId: string): string | undefined {
    return this.#events.get(eventId)?.generation
  }

  /**
   * Tells what Redis has refused a buyer of one unit with.
   * @param generation of before Redis was asked: in another one, the buyer may have become a holder meanwhile
   */
  learn(eventId: string, userId: string, kind: KnownRefusal, generation: string | undefined): void {
    const known = this.#events.get(eventId)
    if (known === undefined) {
      const event = { kind, generation: undefined, askedAtMs: -Infinity, asking: undefined }
      this.#events.set(eventId, { ...event, wantedAtMs: performance.now(), refused: new Set() })
    } else if (generation !== undefined && generation === known.generation) this.#remember(known, userId)
  }

  #remember(known: Known, userId: string): void {
    if (this.#buyers >= MAX_BUYERS || known.refused.has(userId)) return
    known.refused.add(userId)
    this.#buyers++
  }

  async #pass(): Promise<{ more: boolean }> {
    await Promise.all([...this.#events].map(([eventId, known]) => this.#look(eventId, known)))
    return { more: false }
  }

  async #look(eventId: string, known: Known): Promise<void> {
    if (performance.now() - known.wantedAtMs > IDLE_MS) return this.#forget(eventId, known)
    await this.#ask(eventId, known)
  }

  #ask(eventId: string, known: Known): Promise<void> {
    return (known.asking ??= this.#askNow(eventId, known).finally(() => (known.asking = undefined)))
  }

  async #askNow(eventId: string, known: Known): Promise<void> {
    const askedAtMs = performance.now()
    const standing = await this.#scripts.standing({ eventId }).catch((error: unknown) => {
      this.#forget(eventId, known)
      throw error
    })
    if (standing.kind === 'other') return this.#forget(eventId, known)
    if (standing.generation !== known.generation) this.#clear(known)
    known.kind = standing.kind
    known.generation = standing.generation
    known.askedAtMs = askedAtMs
  }

  #forget(eventId: string, known: Known): void {
    this.#clear(known)
    // Of several questions under way, the later ones find that the event was forgotten, or learnt anew.
    if (this.#events.get(eventId) === known) this.#events.delete(eventId)
  }

  #clear(known: Known): void {
    this.#buyers -= known.refused.size
    known.refused = new Set()
  }
}

/** @returns undefined when the answer took so long that it is old itself */
function believed(known: Known, userId: string): KnownRefusal | undefined {
  if (!known.refused.has(userId) || performance.now() - known.askedAtMs >= BELIEVED_MS) return undefined
  return known.kind
}
