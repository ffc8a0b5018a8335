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
/** However long a pass takes, the next one is not further off than operators can wait for. */
const MAX_PAUSE_MS = 60_000

/** What is remembered of an event from pass to pass. */
interface Memory {
  drift: number | null
  findings: readonly Finding[]
  /** What the last rebuild was for; what it did not mend, another one will not mend either. */
  rebuiltFor: readonly Finding[]
}

/** What a pass has found of one event, and the pass before it too: the others are on their way. */
export interface Compared {
  /** Null where there is nothing to compare. */
  drift: number | null
  findings: Tally
}

/** Hears what the passes find and mend. */
export interface ReconcileWatch {
  /**
   * A pass has ended; events that it could not compare are not among them.
   * @param isWhole whether it could compare all that it had to
   */
  compared(events: ReadonlyMap<string, Compared>, isWhole: boolean): void
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
      let missed = Infinity
      try {
        const eventIds = await followedEventIds(deps.knex)
        missed = eventIds.length
        await forEachEvent(eventIds, log, async (id) => {
          const examination = await examineEvent(deps, id)
          missed--
          if (examination.kind !== 'examined') return
          const memory = memories.get(id)
          compared.set(id, seenTwice(memory, examination))
          next.set(id, await repairLasting({ ...deps, log }, id, examination, memory))
        })
      } finally {
        deps.watch.compared(compared, missed === 0)
      }
      memories = next
      const tookMs = performance.now() - startedAt
      return { more: false, pauseMs: Math.min(Math.max(PAUSE_MS, PAUSE_BY_PASS * tookMs), MAX_PAUSE_MS) }
    },
    PAUSE_MS,
    log,
  )
}

type Examined = Extract<Examination, { kind: 'examined' }>

/** The stores are not read at the same moment: what buyers do meanwhile is seen once, and otherwise the next time. */
function seenTwice(memory: Memory | undefined, { drift, findings }: Examined): Compared {
  return {
    drift: drift === null || drift === memory?.drift ? drift : 0,
    findings: tallyOf(lastingOf(memory?.findings ?? [], findings)),
  }
}

/** @returns what the next pass has to know */
async function repairLasting(
  deps: Dependencies,
  eventId: string,
  { drift, findings }: Examined,
  { findings: earlier, rebuiltFor }: Pick<Memory, 'findings' | 'rebuiltFor'> = {
    findings: [],
    rebuiltFor: [],
  },
): Promise<Memory> {
  if (findings.length === 0) return { drift, findings: [], rebuiltFor: [] }
  const lasting = lastingOf(earlier, findings)
  const unmended = lastingOf(rebuiltFor, lasting)
  if (unmended.length > 0)
    deps.log.error({ eventId, drift, findings: tallyOf(unmended) }, 'a rebuild has not mended the event')
  const mendable = lasting.filter((finding) => !unmended.includes(finding))
  const repair = await repairFindings(deps, eventId, { drift, findings: mendable }, SYSTEM)
  deps.watch.repaired(repair)
  return {
    drift,
    findings,
    rebuiltFor: repair.rebuilt ? mendable.filter(({ kind }) => REMEDIES[kind] === 'rebuild') : rebuiltFor,
  }
}
