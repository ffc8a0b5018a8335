/** The use case of repairing an event: what its stores disagree on, seen twice, is brought in order and audited. */
import { setTimeout as sleep } from 'node:timers/promises'
import { recordAudit, type Actor } from './audit/audit.ts'
import { failpoint } from './platform/failpoints.ts'
import { rebuildWhen, type RebuildDependencies } from './rebuild.ts'
import {
  examineEvent,
  lastingOf,
  REMEDIES,
  repairByRid,
  tallyOf,
  type Examination,
  type Finding,
  type Tally,
} from './reconcile.ts'

/** What an examination found that lasts, and what was done about it. */
export interface Repair {
  kind: 'done'
  drift: number | null
  findings: Finding[]
  /** Repairs by rid that changed something. */
  repaired: Tally
  rebuilt: boolean
}

export type RepairResult = Repair | Exclude<Examination, { kind: 'examined' }>

/** What is in flight moves on meanwhile; it is not long for a person who waits. */
const LOOK_AGAIN_MS = 1_000

/** Examines an event twice, a moment apart, and repairs what lasts unless only a report is asked for. */
export async function repairSale(
  deps: RebuildDependencies,
  eventId: string,
  { dryRun }: { dryRun: boolean },
  actor: Actor,
): Promise<RepairResult> {
  const first = await examineEvent(deps, eventId)
  if (first.kind !== 'examined') return first
  if (first.findings.length > 0) await sleep(LOOK_AGAIN_MS)
  const second = first.findings.length > 0 ? await examineEvent(deps, eventId) : first
  if (second.kind !== 'examined') return second
  const findings = lastingOf(first.findings, second.findings)
  const { drift } = second
  if (dryRun) return { kind: 'done', drift, findings, repaired: {}, rebuilt: false }
  return repairFindings(deps, eventId, { drift, findings }, actor)
}

/**
 * Repairs findings that were there at two looks: by their rids or, when one of them takes that, by a rebuild, which
 * brings all rids in order. Any number of processes may repair the same event at once.
 */
export async function repairFindings(
  deps: RebuildDependencies,
  eventId: string,
  { drift, findings }: { drift: number | null; findings: Finding[] },
  actor: Actor,
): Promise<Repair> {
  if (findings.length > 0) await failpoint('reconcile.before-repair')
  const grave = findings.filter(({ kind }) => REMEDIES[kind] === 'rebuild')
  const isNeeded = async () => {
    const examination = await examineEvent(deps, eventId)
    return examination.kind === 'examined' && lastingOf(grave, examination.findings).length > 0
  }
  const rebuilt = grave.length > 0 && (await rebuildWhen(deps, eventId, actor, isNeeded))
  const repaired = tallyOf(grave.length > 0 ? [] : await repairByRid(deps, eventId, findings))
  if (rebuilt || Object.keys(repaired).length > 0) {
    const before = { drift, findings: tallyOf(findings) }
    const after = { repaired, rebuilt }
    await deps.knex.transaction((trx) =>
      recordAudit(trx, actor, 'spike-event.repair', eventId, before, after),
    )
    deps.log.warn({ eventId, ...before, ...after }, 'event repaired')
  }
  return { kind: 'done', drift, findings, repaired, rebuilt }
}
