import type { Logger } from '../platform/logger.ts'
import type { Scripts } from '../platform/redis/define-script.ts'
import { isOneServer, type RedisClient } from '../platform/redis/nodes.ts'
import type { Marks, spikeScripts } from './scripts.ts'

/** Far below the age at which the relay looks at an entry of the log. */
const COLLECT_MS = 10

/**
 * Notes in Redis which rids the broker has confirmed, all of a few milliseconds in one call; in one for each event where
 * the events lie on the servers of a cluster. A mark that is lost costs a repeated publish by the relay and nothing else.
 */
export class QueuedMarks {
  readonly #scripts: Pick<Scripts<typeof spikeScripts>, 'markQueued'>
  readonly #inOneCall: boolean
  readonly #log: Logger
  #pending = new Map<string, string[]>()
  #timer: NodeJS.Timeout | undefined

  /** @param redis what the scripts run on */
  constructor(scripts: Pick<Scripts<typeof spikeScripts>, 'markQueued'>, redis: RedisClient, log: Logger) {
    this.#scripts = scripts
    this.#inOneCall = isOneServer(redis)
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
    if (marks.length === 0) return
    const calls = this.#inOneCall ? [marks] : marks.map((mark) => [mark])
    await Promise.all(calls.map((some) => this.#write(some)))
  }

  async #write(marks: readonly Marks[]): Promise<void> {
    try {
      await this.#scripts.markQueued({ marks })
    } catch (error) {
      const eventIds = marks.map(({ eventId }) => eventId)
      this.#log.warn({ err: error, eventIds }, 'queued marks were not written, or not all of them')
    }
  }
}
