/** Refusals that this process knows by heart: when no unit is free, the same buyers ask again and again. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Loop } from '../platform/loop.ts'
import type { Logger } from '../platform/logger.ts'
import type { Scripts } from '../platform/redis/define-script.ts'
import type { spikeScripts, Standing } from './scripts.ts'

/** A refusal that is the same for everybody who holds nothing. */
export type KnownRefusal = Exclude<Standing['kind'], 'other'>

/** How often generations are looked up for those who were not refused in one yet, and idle events forgotten. */
const ASK_EVERY_MS = 200
/** After so long without a buyer, an event is not asked about any more. */
const IDLE_MS = 5_000
/** Buyers remembered of all events together, some hundred bytes each; more of them ask Redis. */
const MAX_BUYERS = 200_000

interface Known {
  kind: KnownRefusal
  /** Undefined until Redis was asked. */
  generation: string | undefined
  wantedAtMs: number
  /** A question that has not left yet. */
  asking: Promise<void> | undefined
  /** Buyers who were refused in this generation. */
  refused: Set<string>
}

/**
 * Answers those who were refused before, while nobody has become a holder since and no unit is free. Redis is asked for
 * that once in a turn of the event loop, for all who came in it: the question leaves after they came, so what they are
 * told is true, as if each had asked. Nothing is believed for longer: a buyer may hold a unit from another process since.
 */
export class Refusals {
  readonly #scripts: Pick<Scripts<typeof spikeScripts>, 'standing'>
  readonly #loop: Loop
  readonly #events = new Map<string, Known>()
  #buyers = 0

  constructor(scripts: Pick<Scripts<typeof spikeScripts>, 'standing'>, log: Logger) {
    this.#scripts = scripts
    this.#loop = new Loop(() => this.#pass(), ASK_EVERY_MS, log.child({ part: 'refusals' }))
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  /**
   * What a buyer of one unit is refused with; undefined when Redis has to be asked for him.
   * @throws when Redis does not answer
   */
  async find(eventId: string, userId: string): Promise<KnownRefusal | undefined> {
    const known = this.#events.get(eventId)
    if (known === undefined || !known.refused.has(userId)) return undefined
    known.wantedAtMs = performance.now()
    await (known.asking ??= this.#askSoon(eventId, known))
    return known.refused.has(userId) ? known.kind : undefined
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
      const event = { kind, generation: undefined, asking: undefined, refused: new Set<string>() }
      this.#events.set(eventId, { ...event, wantedAtMs: performance.now() })
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

  async #askSoon(eventId: string, known: Known): Promise<void> {
    await nextTurn()
    known.asking = undefined // who comes from now on may have come too late for this question
    await this.#ask(eventId, known)
  }

  async #ask(eventId: string, known: Known): Promise<void> {
    const standing = await this.#scripts.standing({ eventId }).catch((error: unknown) => {
      this.#forget(eventId, known)
      throw error
    })
    if (standing.kind === 'other') return this.#forget(eventId, known)
    if (standing.generation !== known.generation) this.#clear(known)
    known.kind = standing.kind
    known.generation = standing.generation
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
