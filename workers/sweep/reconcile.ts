/**
 * The net's last part: compares the stores of every followed event and repairs what they disagree on. A finding is
 * acted on when two passes have seen it, so nothing in flight is touched.
 */
import { SYSTEM } from '../../src/audit/audit.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { RebuildDependencies } from '../../src/rebuild.ts'
import {
  examineEvent,
  lastingOf,
  REMEDIES,
  tallyOf,
  type Examination,
  type Finding,
  type Tally,
} from '../../src/reconcile.ts'
import { repairFindings, type Repair } from '../../src/repair.ts'
import { followedEventIds } from '../../src/spike-events/model.ts'
import { forEachEvent } from '../for-each-event.ts'

const PAUSE_MS = 5_000
/** A pass reads all rids of all events: it shall not take more of a core than this share. */
const PAUSE_BY_PASS = 10

/** What is remembered of an event from pass to pass. */
interface Memory {
  findings: readonly Finding[]
  /** What the last rebuild was for; what it did not mend, another one will not mend either. */
  rebuiltFor: readonly Finding[]
}

/** What a pass has found of one event. */
export interface Compared {
  /** Null where there is nothing to compare. */
  drift: number | null
  findings: Tally
}

/** Hears what the passes find and mend. */
export interface ReconcileWatch {
  /** A pass has ended; events that it could not compare are not among them. */
  compared(events: ReadonlyMap<string, Compared>): void
  repaired(repair: Pick<Repair, 'repaired' | 'rebuilt'>): void
}

type Dependencies = RebuildDependencies & { watch: ReconcileWatch }

export function reconcile(deps: Dependencies): Loop {
  const log = deps.log.child({ step: 'sweep', part: 'reconcile' })
  let memories = new Map<string, Memory>()
  return new Loop(
    async () => {
      const startedAt = performance.now()
      const next = new Map<string, Memory>()
      const compared = new Map<string, Compared>()
      try {
        await forEachEvent(await followedEventIds(deps.knex), log, async (id) => {
          const examination = await examineEvent(deps, id)
          if (examination.kind !== 'examined') return
          compared.set(id, { drift: examination.drift, findings: tallyOf(examination.findings) })
          const memory = await repairLasting({ ...deps, log }, id, examination, memories.get(id))
          if (memory !== undefined) next.set(id, memory)
        })
      } finally {
        deps.watch.compared(compared)
      }
      memories = next
      const tookMs = performance.now() - startedAt
      return { more: false, pauseMs: Math.max(PAUSE_MS, PAUSE_BY_PASS * tookMs) }
    },
    PAUSE_MS,
    log,
  )
}

/** @returns what the next pass has to know; undefined when the stores agree */
async function repairLasting(
  deps: Dependencies,
  eventId: string,
  { drift, findings }: Extract<Examination, { kind: 'examined' }>,
  { findings: earlier, rebuiltFor }: Memory = { findings: [], rebuiltFor: [] },
): Promise<Memory | undefined> {
  if (findings.length === 0) return undefined
  const lasting = lastingOf(earlier, findings)
  const unmended = lastingOf(rebuiltFor, lasting)
  if (unmended.length > 0)
    deps.log.error({ eventId, drift, findings: tallyOf(unmended) }, 'a rebuild has not mended the event')
  const mendable = lasting.filter((finding) => !unmended.includes(finding))
  const repair = await repairFindings(deps, eventId, { drift, findings: mendable }, SYSTEM)
  deps.watch.repaired(repair)
  return {
    findings,
    rebuiltFor: repair.rebuilt ? mendable.filter(({ kind }) => REMEDIES[kind] === 'rebuild') : rebuiltFor,
  }
}
