/** Whether every unit is accounted for, as far as it can be told at this moment. */
import type { VNode } from 'preact'
import { DRIFT_IS_ZERO } from '../../src/figures/invariants.ts'
import type { PresentedReport } from '../../src/figures/present-sale.ts'
import { Notice } from '../page.tsx'

type Props = { report: PresentedReport }
type Invariant = PresentedReport['conservation']['invariants'][number]

/** `moving`: it compares both stores while units move between them; it is judged when they are at rest. */
type Standing = 'holds' | 'broken' | 'moving'
const STANDINGS: Record<Standing, { mark: string; kind: string }> = {
  holds: { mark: 'yes', kind: 'ok' },
  broken: { mark: 'NO', kind: 'bad' },
  moving: { mark: 'moving', kind: 'muted' },
}

export function Verdict({ report }: Props): VNode {
  const { invariants, oversold } = report.conservation
  const standings = invariants.map((invariant) => standingOf(invariant, report))
  const countOf = (standing: Standing) => standings.filter((one) => one === standing).length
  const broken = countOf('broken')
  if (broken > 0)
    return (
      <Notice kind="bad">
        {broken} of {invariants.length} invariants do not hold; {oversold} units oversold. See the proof
        below.
      </Notice>
    )
  if (countOf('moving') > 0)
    return (
      <Notice kind="info">
        {countOf('holds')} of {invariants.length} invariants hold, none oversold. Units are moving: drift is
        judged when the sale has ended and nothing is in flight.
      </Notice>
    )
  return (
    <Notice kind="ok">
      Every unit is accounted for: all {invariants.length} invariants hold, none oversold.
    </Notice>
  )
}

export function Proof({ report }: Props): VNode {
  return (
    <>
      <div class="scroll">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Invariant</th>
              <th scope="col">Numbers</th>
              <th scope="col">Holds</th>
            </tr>
          </thead>
          <tbody>
            {report.conservation.invariants.map((invariant) => (
              <Row key={invariant.name} invariant={invariant} report={report} />
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted">
        Of PostgreSQL in one snapshot and of Redis right after it. Drift compares the two, so it comes and
        goes while units move; it is judged when the sale has ended and nothing is in flight. Of invariant 5,
        a final answer for every reservation, the stores show this much: {report.reservations.undecided} of
        those that were received have none.
      </p>
    </>
  )
}

function Row({ invariant, report }: Props & { invariant: Invariant }): VNode {
  const { mark, kind } = STANDINGS[standingOf(invariant, report)]
  return (
    <tr>
      <td>{invariant.name}</td>
      <td>{invariant.shown_by}</td>
      <td class={kind}>{mark}</td>
    </tr>
  )
}

function standingOf({ name, holds }: Invariant, report: PresentedReport): Standing {
  if (name === DRIFT_IS_ZERO && isMoving(report)) return 'moving'
  return holds ? 'holds' : 'broken'
}

/** Without a gate nothing is compared, and nothing can be in between. */
function isMoving({ event, conservation }: PresentedReport): boolean {
  const { drift, in_flight: inFlight, pending_releases: pendingReleases } = conservation
  return drift !== null && (event.state !== 'ended' || inFlight + pendingReleases > 0)
}
