/**
 * The net's broom: takes away what has had its time (docs/retention.md), so that no store grows for ever. Each kind has a
 * loop of its own, which does a little at a time: a stop waits for a batch, and one kind that fails holds up no other.
 */
import type { Knex } from 'knex'
import { clearEvent, type ClearDependencies } from '../../src/clear.ts'
import { forgetPublished } from '../../src/orders/outbox.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { Loop } from '../../src/platform/loop.ts'
import { forgetMade } from '../../src/platform/postgres/once.ts'
import { readGate } from '../../src/reserve/gate.ts'
import { endedEventIds } from '../../src/spike-events/model.ts'
import { forgetEndedFamilies } from '../../src/users/sessions.ts'
import { forEachEvent } from '../for-each-event.ts'

/** What is taken away: rows of PostgreSQL, and events in Redis. */
export const REMOVED = ['keyed_requests', 'refresh_tokens', 'outbox', 'events'] as const
export type Removed = (typeof REMOVED)[number]

/** Hears of what is gone. */
export type RetentionWatch = (kind: Removed, count: number) => void

/** While there is more; others get their turn in PostgreSQL. */
const BREATH_MS = 100
/** Nothing is due sooner than that anybody would notice; what keeps an event from being cleared is read in full each time. */
const PAUSE_MS = { rows: 300_000, events: 3_600_000 }
/** Events asked for at once, and of those cleared in one pass. */
const PAGE = { events: 100, clearings: 5 }

interface RetentionDependencies extends ClearDependencies {
  /** Days for which people may look at what nothing needs any more; 0: for ever. */
  days: number
  watch: RetentionWatch
  log: Logger
}

export function retention(deps: RetentionDependencies): Loop[] {
  const { days } = deps
  const always = [
    rowsLoop(deps, 'keyed_requests', forgetMade),
    rowsLoop(deps, 'refresh_tokens', forgetEndedFamilies),
  ]
  if (days === 0) return always
  return [...always, rowsLoop(deps, 'outbox', (knex) => forgetPublished(knex, days)), eventsLoop(deps)]
}

function rowsLoop(
  { knex, watch, ...deps }: RetentionDependencies,
  kind: Removed,
  removeBatch: (knex: Knex) => Promise<number>,
): Loop {
  const log = deps.log.child({ step: 'sweep', part: 'retention', kind })
  return new Loop(
    async () => {
      const count = await removeBatch(knex)
      watch(kind, count)
      return { more: false, pauseMs: count > 0 ? BREATH_MS : PAUSE_MS.rows }
    },
    PAUSE_MS.rows,
    log,
  )
}

/** Walks over the events that ended long ago and clears those that Redis still has in full. */
function eventsLoop(deps: RetentionDependencies): Loop {
  const { knex, redis, days, watch } = deps
  const log = deps.log.child({ step: 'sweep', part: 'retention', kind: 'events' })
  let after: string | undefined
  return new Loop(
    async () => {
      const page = await endedEventIds(knex, { days, limit: PAGE.events, after })
      const gates = await Promise.all(page.map((id) => readGate(redis, id)))
      const full = page.filter((_id, i) => gates[i]?.cleared === false)
      const now = full.slice(0, PAGE.clearings)
      await forEachEvent(now, log, async (eventId) => {
        const clearing = await clearEvent(deps, eventId)
        if (clearing.kind === 'cleared') watch('events', 1)
        if (clearing.kind === 'disagreed')
          log.warn({ eventId, findings: clearing.findings }, 'event is kept in redis until it is repaired')
      })
      if (full.length > now.length) after = now.at(-1)
      else after = page.length === PAGE.events ? page.at(-1) : undefined
      return { more: false, pauseMs: after === undefined ? PAUSE_MS.events : BREATH_MS }
    },
    PAUSE_MS.events,
    log,
  )
}
