/** The report of a sale, to be read on a screen or on paper. */
import type { ComponentChildren, VNode } from 'preact'
import type { PresentedReport } from '../../src/figures/present-sale.ts'
import { count, money, percent, span } from '../words.ts'
import { Notice } from '../page.tsx'
import { CourseChart } from './chart.tsx'
import { Proof, Verdict } from './proof.tsx'

interface PageProps {
  report: PresentedReport
  productName: string
}

export function ReportPage({ report, productName }: PageProps): VNode {
  const { event, course } = report
  return (
    <article class="report">
      <h1>Report: {productName}</h1>
      <p class="muted">
        Sale {event.id}, {momentText(event.start_at)} to {momentText(event.end_at)}. As of{' '}
        {momentText(report.conservation.as_of)}, by the database’s clock.
      </p>
      <p class="actions">
        <a class="button" href={`/sales/${event.id}`}>
          To the sale
        </a>
        <a class="button" href={`/sales/${event.id}/report.json`}>
          Download as JSON
        </a>
      </p>
      {event.state !== 'ended' && (
        <Notice kind="info">The sale has not ended: figures may change ({event.state}).</Notice>
      )}
      <Verdict report={report} />
      <KeyFigures report={report} />
      {course !== null && (
        <Part title="Course of the sale">
          <CourseChart course={course} />
        </Part>
      )}
      <div class="parts">
        <Sales report={report} />
        <Demand report={report} />
      </div>
      <Part title="Proof of conservation">
        <Proof report={report} />
      </Part>
    </article>
  )
}

type Props = { report: PresentedReport }

function KeyFigures({ report }: Props): VNode {
  const { units, peak, decision_ms: decision, sold_out_after_ms: soldOutMs } = report
  return (
    <div class="tiles">
      <Figure name="Sell-through" value={percent(units.paid, units.granted)}>
        {units.paid} paid of {units.granted} units granted
      </Figure>
      <Figure name="Time to sell out" value={soldOutMs === null ? '–' : span(soldOutMs)}>
        {soldOutMs === null
          ? 'units were free all the time'
          : 'from the start to the order that left none free'}
      </Figure>
      <Figure name="Decision, p50" value={decision === null ? '–' : span(decision.p50)}>
        {decision === null
          ? 'nothing was decided'
          : `p90 ${span(decision.p90)}, p99 ${span(decision.p99)}, at most ${span(decision.max)}`}
      </Figure>
      <Peak name="Peak of reservations" peak={peak.reservations} />
      <Peak name="Peak of orders" peak={peak.orders} />
      <Peak name="Peak of rejected requests" peak={peak.rejected} />
    </div>
  )
}

function Figure({
  name,
  value,
  children,
}: {
  name: string
  value: string
  children: ComponentChildren
}): VNode {
  return (
    <section class="tile">
      <h2>{name}</h2>
      <div class="figure">{value}</div>
      <p class="muted">{children}</p>
    </section>
  )
}

function Peak({ name, peak }: { name: string; peak: { second: string; count: number } | null }): VNode {
  return (
    <Figure name={name} value={peak === null ? '–' : `${count(peak.count).text}/s`}>
      {peak === null ? 'there was none' : `in the second from ${momentText(peak.second)}`}
    </Figure>
  )
}

function Sales({ report }: Props): VNode {
  const { units, orders, revenue, second_sales: secondSales } = report
  return (
    <>
      <Part title="Units">
        <Table
          rows={[
            ['granted', units.granted],
            ['sold, every time counted', units.sold],
            ['let go again by lapsed and cancelled orders', units.released],
            ['second sales', secondSales],
            ['paid', units.paid],
            ['held by pending orders', units.pending],
            ['returned to the inventory', units.returned],
          ]}
        />
      </Part>
      <Part title="Orders">
        <Table
          rows={[
            ['made', orders.made],
            ['pending', orders.pending],
            ['paid', orders.paid],
            ['refunded', orders.refunded],
            ['lapsed', orders.lapsed],
            ['cancelled', orders.cancelled],
          ]}
        />
      </Part>
      <Part title="Money">
        <Table
          rows={[
            ['captured', money(revenue.captured, revenue.currency).text],
            ['of it given back, or to be', money(revenue.refunded, revenue.currency).text],
            ['refunds', revenue.refunds],
          ]}
        />
      </Part>
    </>
  )
}

function Demand({ report }: Props): VNode {
  const { requests, reservations, voids, actions, epoch } = report
  return (
    <>
      <Part title="Requests at the gate">
        <Table rows={[['accepted', requests.accepted], ...countsOf('rejected', requests.rejected)]} />
        <p class="muted">Counted best effort; requests that were refused before the gate are not in it.</p>
      </Part>
      <Part title="Verdicts">
        <Table
          rows={[
            ['ordered', reservations.ordered],
            ...countsOf('void', voids),
            ['undecided', reservations.undecided],
          ]}
        />
      </Part>
      <Part title="What was done to the sale">
        <Table rows={[...Object.entries(actions), ['epoch of its state in Redis', epoch]]} />
      </Part>
    </>
  )
}

function countsOf(what: string, counts: Partial<Record<string, number>>): Row[] {
  const rows = Object.entries(counts).map(([reason, n = 0]): Row => [`${what}: ${reason}`, n])
  return rows.length === 0 ? [[what, 0]] : rows
}

function Part({ title, children }: { title: string; children: ComponentChildren }): VNode {
  return (
    <section class="tile part">
      <h2>{title}</h2>
      {children}
    </section>
  )
}

type Row = [name: string, value: string | number]

function Table({ rows }: { rows: readonly Row[] }): VNode {
  return (
    <table class="table">
      <tbody>
        {rows.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="number">{typeof value === 'number' ? count(value).text : value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function momentText(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`
}
