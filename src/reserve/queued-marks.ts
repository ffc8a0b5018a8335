import type { Logger } from '../platform/logger.ts'
import type { Scripts } from '../platform/redis/define-script.ts'
import type { spikeScripts } from './scripts.ts'

/**
 * Notes in Redis which rids the broker has confirmed, all of one turn of the event loop in one call for each
 * event. A mark that is lost costs a repeated publish by the relay and nothing else.
 */
export class QueuedMarks {
  readonly #scripts: Pick<Scripts<typeof spikeScripts>, 'markQueued'>
  readonly #log: Logger
  #pending = new Map<string, string[]>()

  constructor(scripts: Pick<Scripts<typeof spikeScripts>, 'markQueued'>, log: Logger) {
    this.#scripts = scripts
    this.#log = log
  }

  add(eventId: string, rid: string): void {
    if (this.#pending.size === 0) setImmediate(() => this.#flush())
    const rids = this.#pending.get(eventId)
    if (rids === undefined) this.#pending.set(eventId, [rid])
    else rids.push(rid)
  }

  #flush(): void {
    const pending = this.#pending
    this.#pending = new Map()
    for (const [eventId, rids] of pending)
      this.#scripts
        .markQueued({ eventId, rids })
        .catch((error: unknown) => this.#log.warn({ err: error, eventId }, 'queued marks were not written'))
  }
}
