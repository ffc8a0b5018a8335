/** The tiles of the live page. */
import type { VNode } from 'preact'
import { OUTCOMES } from '../../src/figures/rates.ts'
import { METER_PARTS } from './books-view.ts'
import { Chart, Facts, Live, Tile } from './tile.tsx'
import { GROUPS } from './view.ts'
import { OUTCOME_WORDS, timeOfDay } from '../words.ts'
import type { FindingLine, LiveView } from './wire.ts'

interface TileView {
  view: LiveView
}

export function StateTile({ view }: TileView): VNode {
  const { clock } = view
  return (
    <Tile view={view} title="State" part="sale">
      <p class="figure">
        <Live view={view} name="state" />
      </p>
      <p data-countdown>
        {clock && `From ${timeOfDay(clock.startMs)} to ${timeOfDay(clock.endMs)}, by the clock of Redis`}
      </p>
      <h3>Clocks</h3>
      <Facts
        view={view}
        rows={[
          ['Redis against PostgreSQL', 'skew.redis'],
          ['this dashboard against Redis', 'skew.dashboard'],
          ['this browser against Redis', 'skew.browser'],
        ]}
      />
    </Tile>
  )
}

/** All units granted, as one bar and as a sum. */
export function MeterTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Conservation of units" part="books" wide>
      <p class="figure small">
        <Live view={view} name="drift" />
      </p>
      <svg
        class="meter"
        viewBox="0 0 1000 24"
        preserveAspectRatio="none"
        role="img"
        aria-label={meterLabel(view)}
      >
        {shares(view).map(({ name, x, width }) => (
          <rect key={name} data-share={name} x={x} y="0" width={width} height="24" />
        ))}
      </svg>
      <dl class="sum">
        <div>
          <dt>granted</dt>
          <dd>
            <Live view={view} name="meter.granted" />
          </dd>
        </div>
        {METER_PARTS.map(({ name, words }, i) => (
          <div key={name} data-share={name}>
            <dt>{words}</dt>
            <dd>
              <span class="muted">{i === 0 ? '= ' : '+ '}</span>
              <Live view={view} name={`meter.${name}`} />
            </dd>
          </div>
        ))}
      </dl>
      <p>
        Oldest on its way: <Live view={view} name="oldest" />
      </p>
      <h3>Not as it should be, seen twice</h3>
      <ul data-findings>
        {view.findings.length === 0 ? <li>nothing</li> : view.findings.map((line) => <Finding line={line} />)}
      </ul>
    </Tile>
  )
}

function Finding({ line: { rid, text } }: { line: FindingLine }): VNode {
  return <li>{rid === null ? text : [<a href={`/look-up?q=${rid}`}>{rid}</a>, `: ${text}`]}</li>
}

/** Where each share of the bar lies, in thousandths; the browser's script works it out the same way. */
function shares({ meter }: LiveView): { name: string; x: number; width: number }[] {
  const total = meter.reduce((sum, { units }) => sum + units, 0)
  let x = 0
  return METER_PARTS.map(({ name }) => {
    const units = meter.find((share) => share.name === name)?.units ?? 0
    const width = total === 0 ? 0 : (1_000 * units) / total
    x += width
    return { name, x: x - width, width }
  })
}

function meterLabel({ fields }: LiveView): string {
  const text = (name: string) => fields[`meter.${name}`]?.text ?? '?'
  return `${text('granted')} granted: ${METER_PARTS.map(({ name, words }) => `${text(name)} ${words}`).join(', ')}`
}

export function StockTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Stock" part="gate">
      <p class="figure">
        <Live view={view} name="free" /> <span class="muted">free of</span>{' '}
        <Live view={view} name="granted" />
      </p>
      <p>
        <Live view={view} name="projection" />
      </p>
      <Chart view={view} name="stock" />
    </Tile>
  )
}

export function RequestsTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Requests a second" part="gate">
      <p class="figure">
        <Live view={view} name="accepted.rate" /> <span class="muted">accepted</span>{' '}
        <Live view={view} name="rejected.rate" /> <span class="muted">rejected</span>
      </p>
      <Chart view={view} name="requests" />
      <ul class="legend" aria-hidden="true">
        {GROUPS.map(({ name, words }) => (
          <li key={name} data-group={name}>
            {words}
          </li>
        ))}
      </ul>
      <details>
        <summary>By reason</summary>
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Answer</th>
              <th scope="col" class="number">
                a second
              </th>
              <th scope="col" class="number">
                in all
              </th>
            </tr>
          </thead>
          <tbody>
            {OUTCOMES.map((outcome) => (
              <tr key={outcome}>
                <th scope="row">{OUTCOME_WORDS[outcome]}</th>
                <td class="number">
                  <Live view={view} name={`${outcome}.rate`} />
                </td>
                <td class="number">
                  <Live view={view} name={`${outcome}.count`} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </Tile>
  )
}

export function DecisionsTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Time to a decision" part="books">
      <p class="figure">
        <Live view={view} name="recent.p50" /> <span class="muted">p50</span>{' '}
        <Live view={view} name="recent.p99" /> <span class="muted">p99</span>
      </p>
      <p class="muted">From the reservation to its verdict, over the last 30 s.</p>
      <Chart view={view} name="decisions" />
      <Facts
        view={view}
        rows={[
          ['whole sale, p50', 'whole.p50'],
          ['whole sale, p99', 'whole.p99'],
          ['longest', 'whole.max'],
        ]}
      />
    </Tile>
  )
}
