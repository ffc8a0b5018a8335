import type { ReservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { withFailpoint } from '../../src/platform/failpoints.ts'
import type { Logger } from '../../src/platform/logger.ts'
import type { ConfirmPublisher } from '../../src/platform/rabbitmq/publisher.ts'
import type { Scripts } from '../../src/platform/redis/define-script.ts'
import { inTrace } from '../../src/platform/telemetry/trace.ts'
import { publishReservation } from '../../src/publish/publish-reservation.ts'
import type { spikeScripts } from '../../src/reserve/scripts.ts'

/** A reservation to publish again, in the trace of its purchase where that is known. */
export interface Unsent {
  message: ReservationAccepted
  traceparent?: string | undefined
}

const CONFIRM_WAIT_MS = 5_000
const REMEMBERED_MS = 600_000

/**
 * Publishes reservations again, and remembers which ones the broker has confirmed and when: what was published behind
 * everything else and is neither in the queue nor in PostgreSQL will not come. Durations are of a clock that never jumps.
 */
export class Republisher {
  readonly #scripts: Pick<Scripts<typeof spikeScripts>, 'markQueued'>
  readonly #publisher: ConfirmPublisher
  readonly #log: Logger
  /** Rids with the time of their confirm, the oldest first. */
  readonly #confirmed = new Map<string, number>()

  constructor(deps: {
    scripts: Pick<Scripts<typeof spikeScripts>, 'markQueued'>
    publisher: ConfirmPublisher
    log: Logger
  }) {
    this.#scripts = deps.scripts
    this.#publisher = deps.publisher
    this.#log = deps.log
  }

  /**
   * Publishes reservations of one event and notes in Redis those that the broker has confirmed. Duplicates are harmless,
   * by the rid.
   * @returns the rids that the broker has confirmed
   */
  async republish(eventId: string, unsent: readonly Unsent[]): Promise<Set<string>> {
    if (unsent.length === 0) return new Set()
    const outcomes = await Promise.all(
      unsent.map(({ message, traceparent }) =>
        withFailpoint('log-relay.after-publish', () =>
          inTrace(traceparent, () => publishReservation(this.#publisher, message, CONFIRM_WAIT_MS)),
        ),
      ),
    )
    const rids = unsent.filter((_one, i) => outcomes[i] === 'confirmed').map(({ message }) => message.rid)
    this.#remember(rids)
    if (rids.length > 0) await this.#scripts.markQueued([{ eventId, rids }])
    this.#log.info({ eventId, unsent: unsent.length, confirmed: rids.length }, 'reservations published again')
    return new Set(rids)
  }

  /** Whether our own copy of a reservation was confirmed, at least so long ago. */
  hasConfirmed(rid: string, msAgo = 0): boolean {
    const confirmedAt = this.#confirmed.get(rid)
    return confirmedAt !== undefined && performance.now() - confirmedAt >= msAgo
  }

  /** What was confirmed says nothing any more: what consumes it may have been unable to. */
  forget(): void {
    this.#confirmed.clear()
  }

  #remember(rids: readonly string[]): void {
    const now = performance.now()
    for (const rid of rids) {
      this.#confirmed.delete(rid) // sets it behind the others
      this.#confirmed.set(rid, now)
    }
    for (const [rid, confirmedAt] of this.#confirmed) {
      if (now - confirmedAt < REMEMBERED_MS) break
      this.#confirmed.delete(rid)
    }
  }
}
