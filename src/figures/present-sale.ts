/** The figures of a sale as the API and the dashboard tell them. */
import type { SaleReport } from '../report.ts'
import { ERROR_OF_OUTCOME, type Outcome, type Peak } from '../reserve/outcome-counts.ts'
import { presentEvent } from '../spike-events/model.ts'
import type { Course } from './course.ts'
import { judgeStores, oversold, type Facts } from './invariants.ts'

export type PresentedReport = ReturnType<typeof presentReport>

export function presentConservation(eventId: string, facts: Facts) {
  const { ledger, redis } = facts
  return {
    event_id: eventId,
    granted: ledger.granted,
    available: ledger.available,
    live: ledger.live,
    pending: ledger.pending,
    paid: ledger.paid,
    redis: redis === 'NOT_READY' ? null : redis,
    in_flight: facts.inFlight,
    pending_releases: facts.pendingReleases,
    drift: facts.drift,
    oversold: oversold(ledger),
    invariants: judgeStores(facts).map(({ name, ok, numbers }) => ({ name, holds: ok, shown_by: numbers })),
    as_of: ledger.asOf.toISOString(),
  }
}

export function presentReport(report: SaleReport) {
  const { event, facts, stock, orders, money, decisionTimes } = report
  const { ledger, redis } = facts
  return {
    event: presentEvent(event, redis === 'NOT_READY' ? null : redis.stock),
    units: {
      granted: stock.granted,
      returned: stock.returned,
      sold: ledger.ordered,
      paid: ledger.paid,
      pending: ledger.pending,
      released: ledger.ordered - ledger.live,
    },
    sell_through: stock.granted === 0 ? 0 : ledger.paid / stock.granted,
    orders,
    second_sales: report.secondSales,
    requests: presentRequests(report.outcomes),
    reservations: ledger.reservations,
    voids: report.voids,
    peak: {
      reservations: presentPeak(report.peakReservations),
      orders: presentPeak(report.peakOrders),
      rejected: presentPeak(report.rejectedPeak),
    },
    sold_out_after_ms: report.soldOutAt && Math.max(0, report.soldOutAt.getTime() - event.start_at.getTime()),
    decision_ms: presentTimes(decisionTimes),
    revenue: { ...money, currency: event.currency },
    course: presentCourse(report.course),
    epoch: event.epoch,
    actions: report.actions,
    conservation: presentConservation(event.id, facts),
  }
}

function presentRequests({ accepted = 0, ...others }: Partial<Record<Outcome, number>>) {
  const rejected: Record<string, number> = {}
  for (const [outcome, n] of Object.entries(others))
    rejected[ERROR_OF_OUTCOME[outcome as keyof typeof ERROR_OF_OUTCOME]] = n
  return { accepted, rejected }
}

function presentPeak(peak: Peak | undefined) {
  return peak === undefined ? null : { second: peak.second.toISOString(), count: peak.count }
}

function presentTimes({ p50, p90, p99, max }: SaleReport['decisionTimes']) {
  if (p50 === null || p90 === null || p99 === null || max === null) return null
  return { p50, p90, p99, max }
}

function presentCourse(course: Course | undefined) {
  if (course === undefined) return null
  const points = course.points.map(({ at, orders, free }) => ({ at: at.toISOString(), orders, free }))
  return { step_seconds: course.stepSeconds, points }
}
