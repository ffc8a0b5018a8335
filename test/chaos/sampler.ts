/** What the stores say of the stock over time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { spikeKeys } from '../../src/reserve/keys.ts'
import type { Sources } from './checker.ts'
import type { Sample } from './picture.ts'

const SAMPLE_MS = 200

/** Notes the stock every now and then; a store that is down leaves a gap. */
export function startSampler(
  stage: Pick<Sources, 'knex' | 'redis' | 'eventId'>,
  began: number,
): { samples: Sample[]; stop: () => Promise<void> } {
  const samples: Sample[] = []
  const abort = new AbortController()
  const look = async () => {
    const [event, remaining] = await Promise.all([
      stage
        .knex('spike_events')
        .where('id', stage.eventId)
        .first('available', 'granted')
        .catch(() => undefined),
      stage.redis.get(spikeKeys(stage.eventId).stock).catch(() => null),
    ])
    samples.push({
      atMs: Date.now() - began,
      available: event?.available,
      live: event === undefined ? undefined : event.granted - event.available,
      remaining: remaining === null ? undefined : Number(remaining),
    })
  }
  const running = (async () => {
    while (!abort.signal.aborted) {
      await look()
      await sleep(SAMPLE_MS)
    }
  })()
  return {
    samples,
    stop: async () => {
      abort.abort()
      await running
    },
  }
}
