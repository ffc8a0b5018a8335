import { effect, StoreDown, type Steps } from './process.ts'
import type { World } from './world.ts'

/** What waits in the queue of reservations, without what consumers have in hand; undefined when the broker does not tell. */
export function* readBacklog(world: World): Steps<number | undefined> {
  try {
    return yield* effect('read backlog', () =>
      world.broker.down ? undefined : world.broker.ready['reservation.accepted'].length,
    )
  } catch (error) {
    if (error instanceof StoreDown) return undefined
    throw error
  }
}
