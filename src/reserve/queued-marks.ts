import type { Logger } from '../platform/logger.ts'
import type { Scripts } from '../platform/redis/define-script.ts'
import type { spikeScripts } from './scripts.ts'

/** Far below the age at which the relay looks at an entry of the log. */
const COLLECT_MS = 10

/**
 * Notes in Redis which rids the broker has confirmed, all of a few milliseconds at a time. A mark that is lost costs a
 * repeated publish by the relay and nothing else.
 */
export class QueuedMarks {
  readonly #scripts: Pick<Scripts<typeof spikeScripts>, 'markQueued'>
  readonly #log: Logger
  #pending = new Map<string, string[]>()
  #timer: NodeJS.Timeout | undefined

  constructor(scripts: Pick<Scripts<typeof spikeScripts>, 'markQueued'>, log: Logger) {
    this.#scripts = scripts
    this.#log = log
  }

  add(eventId: string, rid: string): void {
    this.#timer ??= setTimeout(() => void this.#flush(), COLLECT_MS)
    const rids = this.#pending.get(eventId)
    if (rids === undefined) this.#pending.set(eventId, [rid])
    else rids.push(rid)
  }

  /** Writes what is left. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#flush()
  }

  async #flush(): Promise<void> {
    const marks = [...this.#pending].map(([eventId, rids]) => ({ eventId, rids }))
    this.#pending = new Map()
    this.#timer = undefined
    try {
      await this.#scripts.markQueued(marks)
    } catch (error) {
      const eventIds = marks.map(({ eventId }) => eventId)
      this.#log.warn({ err: error, eventIds }, 'queued marks were not written, or not all of them')
    }
  }
}
