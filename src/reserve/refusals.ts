/** Refusals that this process knows by heart: when no unit is free, the same buyers ask again and again. */
import { Loop } from '../platform/loop.ts'
import type { Logger } from '../platform/logger.ts'
import type { Scripts } from '../platform/redis/define-script.ts'
import type { spikeScripts, Standing } from './scripts.ts'

/** A refusal that is the same for everybody who holds nothing. */
export type KnownRefusal = Exclude<Standing['kind'], 'other'>

/** How long what Redis has said is believed; a unit that comes back is offered again within this time. */
const BELIEVED_MS = 1_000
const ASK_EVERY_MS = 200
/** After so long without a buyer, an event is not asked about any more. */
const IDLE_MS = 5_000
/** Buyers remembered of all events together, some hundred bytes each; more of them ask Redis. */
const MAX_BUYERS = 200_000

interface Known {
  kind: KnownRefusal
  /** Undefined until Redis was asked. */
  generation: string | undefined
  believedUntilMs: number
  wantedAtMs: number
  /** Buyers who were refused in this generation. */
  refused: Set<string>
}

/**
 * Answers those who were refused before, while nobody has become a holder since and no unit is free. That is asked of
 * Redis every `ASK_EVERY_MS` for each event that is wanted; a Redis that does not answer is not spoken for.
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

  /** What a buyer of one unit is refused with; undefined when Redis has to be asked. */
  find(eventId: string, userId: string): KnownRefusal | undefined {
    const known = this.#events.get(eventId)
    if (known === undefined || !known.refused.has(userId)) return undefined
    const now = performance.now()
    known.wantedAtMs = now
    return now < known.believedUntilMs ? known.kind : undefined
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
      const event = { kind, generation: undefined, believedUntilMs: 0, refused: new Set<string>() }
      this.#events.set(eventId, { ...event, wantedAtMs: performance.now() })
    } else if (generation !== undefined && generation === known.generation) this.#remember(known, userId)
  }

  #remember(known: Known, userId: string): void {
    if (this.#buyers >= MAX_BUYERS || known.refused.has(userId)) return
    known.refused.add(userId)
    this.#buyers++
  }

  async #pass(): Promise<{ more: boolean }> {
    await Promise.all([...this.#events].map(([eventId, known]) => this.#ask(eventId, known)))
    return { more: false }
  }

  async #ask(eventId: string, known: Known): Promise<void> {
    const askedAtMs = performance.now()
    if (askedAtMs - known.wantedAtMs > IDLE_MS) return this.#forget(eventId, known)
    const standing = await this.#scripts.standing({ eventId }).catch((error: unknown) => {
      this.#forget(eventId, known)
      throw error
    })
    if (standing.kind === 'other') return this.#forget(eventId, known)
    if (standing.generation !== known.generation) this.#clear(known)
    known.kind = standing.kind
    known.generation = standing.generation
    known.believedUntilMs = askedAtMs + BELIEVED_MS
  }

  #forget(eventId: string, known: Known): void {
    this.#clear(known)
    this.#events.delete(eventId)
  }

  #clear(known: Known): void {
    this.#buyers -= known.refused.size
    known.refused = new Set()
  }
}
