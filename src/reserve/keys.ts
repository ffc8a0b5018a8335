/** Redis keys of one event. They share the hash tag, so scripts over them run on Redis Cluster. */
export interface SpikeKeys {
  /**
   * Hash: status, epoch, start_ms, end_ms, granted, paid, per_user_limit, lapse_limit, run_id of the server that wrote
   * it, and adopted: claims that became their buyer's without a purchase here; cleared_ms and released once the event was
   * cleared, see `clear.lua`. Missing: NOT_READY.
   */
  gate: string
  /** Integer: units free to reserve. */
  stock: string
  /** Hash user id -> rid of the buyer's live claim. */
  holders: string
  /** Hash rid -> record, see `record.ts`. */
  states: string
  /** Hash user id -> number of lapsed or cancelled orders. */
  lapses: string
  /** Stream: the reservation log; an entry lives until its verdict is applied. */
  log: string
  /** Set of adjustment ids already applied to the stock. */
  adjustments: string
  /** Hash outcome -> number of purchase requests that ended so; best effort, see `outcome-counts.ts`. */
  outcomes: string
  /** Sorted set with one member: the second in which most requests were rejected; best effort like `outcomes`. */
  rejectedPeak: string
  /** Pub/sub channel for whoever waits on a rid of this event. */
  notices: string
}

export function spikeKeys(eventId: string): SpikeKeys {
  const tag = `{spike:${eventId}}`
  return {
    gate: `${tag}:gate`,
    stock: `${tag}:stock`,
    holders: `${tag}:holders`,
    states: `${tag}:states`,
    lapses: `${tag}:lapses`,
    log: `${tag}:log`,
    adjustments: `${tag}:adjustments`,
    outcomes: `${tag}:outcomes`,
    rejectedPeak: `${tag}:outcomes:peak`,
    notices: `${tag}:notices`,
  }
}

/** Integer: requests of an event that were rejected in one second since 1970; kept for a minute. */
export function rejectedInSecondKey(eventId: string, second: number): string {
  return `${spikeKeys(eventId).outcomes}:${second}`
}

/** Where the rebuild of one epoch gathers an event's new state before it takes the place of the present one. */
export function nextKeys(
  eventId: string,
  epoch: number,
): Pick<SpikeKeys, 'holders' | 'states' | 'lapses' | 'adjustments'> {
  const { holders, states, lapses, adjustments } = spikeKeys(eventId)
  const next = (key: string) => `${key}:next-${epoch}`
  return {
    holders: next(holders),
    states: next(states),
    lapses: next(lapses),
    adjustments: next(adjustments),
  }
}
