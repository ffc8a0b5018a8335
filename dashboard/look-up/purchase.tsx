/** One purchase: what it is, how it stands, what happened to it, and where it lies. */
import type { ComponentChildren, VNode } from 'preact'
import type { Purchase } from '../../src/figures/purchase.ts'
import type { JobFacts } from '../../src/figures/purchase-jobs.ts'
import type { Moment } from '../../src/figures/purchase-moments.ts'
import { money, span } from '../words.ts'
import { Notice } from '../page.tsx'
import { Time } from './list.tsx'
import {
  CLOCK_WORDS,
  MOMENT_WORDS,
  PLACE_WORDS,
  SILENT_WORDS,
  STANDING,
  standingText,
  STATE_WORDS,
} from './words.ts'

interface PageProps {
  purchase: Purchase
  traceUrlTemplate: string | undefined
}

export function PurchasePage({ purchase, traceUrlTemplate }: PageProps): VNode {
  const { standing, quantity, products, silent } = purchase
  return (
    <>
      {silent.map((store) => (
        <Notice kind="bad" key={store}>
          {SILENT_WORDS[store]}
        </Notice>
      ))}
      <h2>
        {quantity} × {products ?? 'an event that does not exist'}{' '}
        <span class={`badge ${STANDING[standing.word].tone}`}>{standingText(standing)}</span>
      </h2>
      <div class="purchase">
        <Summary purchase={purchase} traceUrlTemplate={traceUrlTemplate} />
        <section class="tile" aria-labelledby="timeline">
          <h3 id="timeline">Timeline</h3>
          <Timeline purchase={purchase} />
          <p class="muted">
            Times are UTC, each by the clock of the store or process that wrote it; ≈ stands between two
            clocks. PostgreSQL tells when a transaction began, and of a verdict when it was written. That the
            broker confirmed the reservation is kept without a time. Units are free in Redis at the end of the
            release-stock job.
          </p>
        </section>
        <section class="tile" aria-labelledby="places">
          <h3 id="places">Where it lies now</h3>
          <Places purchase={purchase} />
        </section>
      </div>
    </>
  )
}

function Summary({ purchase, traceUrlTemplate }: PageProps): VNode {
  const { name, eventId, buyer, amount, currency, payBefore, requestId, traceId, reservations } = purchase
  return (
    <section class="tile" aria-label="Names of the purchase">
      <dl class="names">
        <Fact name="Order">{name.orderId === null ? 'none' : <Id>{name.orderId}</Id>}</Fact>
        <Fact name="Reservation">
          {reservations.length === 0
            ? 'none: an ordinary order'
            : reservations.map(({ rid }) => <Id key={rid}>{rid}</Id>)}
        </Fact>
        {eventId !== null && (
          <Fact name="Sale">
            <a href={`/sales/${eventId}`}>{eventId}</a>
          </Fact>
        )}
        <Fact name="Buyer">
          {buyer.email ?? 'no account'} <Id>{buyer.id}</Id>
        </Fact>
        {amount !== null && currency !== null && <Fact name="Amount">{money(amount, currency).text}</Fact>}
        {payBefore !== null && (
          <Fact name="To be paid before">
            <Time at={payBefore} />
          </Fact>
        )}
        <Fact name="Request">{requestId === null ? 'not kept' : <Id>{requestId}</Id>}</Fact>
        <Fact name="Trace">
          {traceId === undefined ? 'not traced' : <Trace id={traceId} template={traceUrlTemplate} />}
        </Fact>
      </dl>
    </section>
  )
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): VNode {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}

/** One click marks all of it, to be copied. */
function Id({ children }: { children: string }): VNode {
  return <code class="id">{children}</code>
}

function Trace({ id, template }: { id: string; template: string | undefined }): VNode {
  return (
    <>
      <Id>{id}</Id>{' '}
      {template !== undefined && <a href={template.replaceAll('{trace_id}', id)}>open the trace</a>}
    </>
  )
}

function Timeline({ purchase: { timeline, reservations } }: { purchase: Purchase }): VNode {
  return (
    <ol class="timeline">
      {timeline.map((moment, i) => (
        <Line
          moment={moment}
          before={timeline[i - 1]}
          hidden={reservations.length > 1 ? [] : REPEATED}
          key={i}
        />
      ))}
    </ol>
  )
}

/** With one reservation, it is told above which one it is, and a step has one job. */
const REPEATED: readonly string[] = ['reservation_id', 'job_id']

const BAD = new Set<Moment['what']>(['dead_letter', 'job_failed', 'payment_failed'])

interface LineProps {
  moment: Moment
  before: Moment | undefined
  /** Names of details that are left out. */
  hidden: readonly string[]
}

function Line({ moment, before, hidden }: LineProps): VNode {
  const { at, clock, step, what, detail } = moment
  return (
    <li>
      <div class="when">
        <Time at={at} /> <span class="muted">{CLOCK_WORDS[clock]}</span>
        <div class="muted">{before && sinceText(moment, before)}</div>
      </div>
      <div>
        <span class="badge">{PLACE_WORDS[step]}</span>{' '}
        <strong class={BAD.has(what) ? 'bad' : undefined}>{MOMENT_WORDS[what]}</strong>
        <Details details={Object.entries(detail).filter(([name]) => !hidden.includes(name))} />
      </div>
    </li>
  )
}

function sinceText(moment: Moment, before: Moment): string {
  return `${moment.clock === before.clock ? '' : '≈ '}+${span(moment.at.getTime() - before.at.getTime())}`
}

function Details({ details }: { details: [name: string, value: string | number | null][] }): VNode {
  return (
    <div class="details">
      {details.map(([name, value]) => (
        <span key={name}>
          <span class="muted">{name}</span> {value === null ? 'none' : String(value)}
        </span>
      ))}
    </div>
  )
}

function Places({ purchase: { reservations, jobs, silent } }: { purchase: Purchase }): VNode {
  return (
    <dl class="names">
      {!silent.includes('redis') &&
        reservations.map(({ rid, record }) => (
          <Fact name="Redis" key={rid}>
            {record === undefined ? 'knows nothing of it' : STATE_WORDS[record.state]}
            {record?.reason !== undefined && ` (${record.reason})`}
            {reservations.length > 1 && <Id>{rid}</Id>}
          </Fact>
        ))}
      {jobs.map((job) => (
        <Fact name={`Job ${job.step}`} key={job.id}>
          <JobState job={job} />
        </Fact>
      ))}
      <Fact name="Dead letters">
        {silent.includes('bullmq') ? 'not known' : <a href="/dead-letters">all of them</a>}
      </Fact>
    </dl>
  )
}

function JobState({ job: { step, id, state, attempts, failure } }: { job: JobFacts }): VNode {
  if (state === undefined)
    return <span class="muted">not there: never made, or finished more than an hour ago</span>
  return (
    <>
      <a href={`/queues/queue/${step}/${encodeURIComponent(id)}`}>{state}</a>
      {attempts > 0 && `, ${attempts === 1 ? 'one attempt' : `${attempts} attempts`}`}
      {failure !== undefined && failure !== '' && <span class="bad">: {failure}</span>}
    </>
  )
}
