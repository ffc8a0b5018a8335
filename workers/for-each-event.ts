import type { Logger } from '../src/platform/logger.ts'

/** Runs a piece of background work for each event; one event that fails is logged and does not stop the others. */
export async function forEachEvent(
  eventIds: readonly string[],
  log: Logger,
  work: (eventId: string) => Promise<unknown>,
): Promise<void> {
  for (const eventId of eventIds) {
    try {
      await work(eventId)
    } catch (error) {
      log.error({ err: error, eventId }, 'event left for the next pass')
    }
  }
}
