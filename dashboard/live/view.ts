/** Puts the figures of a sale into the words and numbers that the page shows; one place for server and stream. */
import { OUTCOMES, type Projection } from '../../src/figures/rates.ts'
import type { Outcome } from '../../src/reserve/outcome-counts.ts'
import type { Books, GateFigures, SaleFigures } from '../../src/snapshot.ts'
import { booksFields, driftField } from './books-view.ts'
import type { LagFigures } from './readers.ts'
import { age, count, FINDING_WORDS, fault, rate, span, UNKNOWN, units } from '../words.ts'
import type { Field, FindingLine, LiveView, PartState, Point, Tone } from './wire.ts'

/** What is shown as one colour in the chart of requests. */
export const GROUPS: readonly { name: string; words: string; outcomes: readonly Outcome[] }[] = [
  { name: 'accepted', words: 'accepted', outcomes: ['accepted'] },
  { name: 'gone', words: 'no unit free', outcomes: ['sold_out', 'all_held'] },
  { name: 'bought', words: 'has bought already', outcomes: ['existing'] },
  { name: 'shut', words: 'not open', outcomes: ['not_started', 'paused', 'ended'] },
  { name: 'limits', words: 'over a limit', outcomes: ['lapse_limit', 'quantity_limit'] },
]

/** Clocks that differ by more make deadlines and windows look wrong. */
const SKEW_MS = 500
const MAX_FINDINGS = 20

interface Read<T> {
  value: T | undefined
  ageMs: number
  state: PartState
}

export interface Figures {
  sale: Read<SaleFigures>
  gate: Read<GateFigures>
  books: Read<Books>
  lag: Read<LagFigures>
  rates: Record<Outcome, number> | null
  projection: Projection | null
  latest: { pulse: Point | null; decisions: Point | null }
}

export function viewOf(figures: Figures): LiveView {
  const { sale, gate, books, lag, rates, latest } = figures
  const isOpen = sale.value?.event.state === 'live'
  const projection = isOpen ? figures.projection : null
  const drift = driftField(books.value)
  const fields = {
    drift,
    state: stateField(sale.value, gate.value),
    ...stockFields({ ...figures, projection }),
    ...requestFields(rates, gate.value),
    ...lagFields(lag.value),
    ...booksFields(books.value),
    ...clockFields(sale.value, gate.value),
  }
  const free = gate.value?.gate?.stock
  return {
    title: [fields.state.text, free === undefined ? '' : `${fields.free.text} free`, sale.value?.productName]
      .filter(Boolean)
      .join(' · '),
    status: sale.value?.event.status ?? null,
    announcement: [`${fields.state.text}.`, drift.tone === 'bad' ? drift.text : ''].join(' ').trim(),
    clock: clockOf(sale, gate),
    fields,
    parts: { sale: sale.state, gate: gate.state, lag: lag.state, books: books.state },
    meter: meterShares(books.value),
    findings: findingLines(books.value),
    charts: chartWords(fields),
    sellOutMs: projection?.atMs ?? null,
    latest,
  }
}

function stateField(sale: SaleFigures | undefined, gate: GateFigures | undefined): Field {
  if (sale === undefined) return UNKNOWN
  const { state, opened_at: openedAt } = sale.event
  if (state === 'draft') return { text: 'Draft' }
  if (state === 'ended') return { text: 'Ended' }
  if (gate?.gate?.status === 'closed') return { text: 'Closed for a rebuild', tone: 'warn' }
  if (gate?.lost === true && openedAt !== null) return { text: 'Lost by Redis: needs a rebuild', tone: 'bad' }
  if (state === 'paused') return { text: 'Paused', tone: 'warn' }
  if (state === 'published') return { text: 'Scheduled' }
  return gate?.gate === undefined || gate.gate.stock > 0 ? { text: 'On sale', tone: 'ok' } : emptyField(gate)
}

function emptyField({ gate, paid }: GateFigures): Field {
  if (gate !== undefined && paid >= gate.granted) return { text: 'Sold out', tone: 'ok' }
  return { text: 'All held', tone: 'warn' }
}

function stockFields({ sale, gate, projection }: Figures) {
  const event = sale.value?.event
  const free = gate.value?.gate?.stock
  return {
    free: count(free),
    granted: count(event?.granted),
    sold: count(event && event.granted - event.available),
    projection: projectionField(free, projection, gate, event?.end_at.getTime()),
  }
}

function projectionField(
  free: number | undefined,
  projection: Projection | null,
  gate: Read<GateFigures>,
  endMs: number | undefined,
): Field {
  if (free === undefined) return UNKNOWN
  if (free <= 0) return { text: 'None is free; a unit comes back when its order is not paid.' }
  if (projection === null || gate.value === undefined)
    return { text: 'No projection: free units are not falling.' }
  const perSecond = `${rate(projection.perSecond).text} a second are going`
  if (endMs !== undefined && projection.atMs > endMs)
    return { text: `${perSecond}: not sold out before the end.` }
  const leftMs = Math.max(0, projection.atMs - gate.value.asOfMs - gate.ageMs)
  return { text: `${perSecond}: sold out in ${leftMs < 1_000 ? 'a moment' : `about ${span(leftMs)}`}.` }
}

function requestFields(rates: Record<Outcome, number> | null, gate: GateFigures | undefined) {
  const fields: Record<string, Field> = {}
  let rejected = 0
  for (const outcome of OUTCOMES) {
    fields[`${outcome}.rate`] = rate(rates?.[outcome])
    fields[`${outcome}.count`] = count(gate && (gate.outcomes[outcome] ?? 0))
    if (outcome !== 'accepted') rejected += rates?.[outcome] ?? 0
  }
  return { ...fields, 'rejected.rate': rate(rates && rejected) }
}

function lagFields(lag: LagFigures | undefined) {
  const fields: Record<string, Field> = {}
  for (const step of lag?.steps ?? []) {
    fields[`${step.step}.broker`] = count(step.broker)
    fields[`${step.step}.waiting`] = count(step.waiting)
    fields[`${step.step}.active`] = count(step.active)
    fields[`${step.step}.delayed`] = count(step.delayed)
    fields[`${step.step}.failed`] = fault(step.failed, 'warn')
    fields[`${step.step}.oldest`] = step.waiting === null ? UNKNOWN : age(step.oldestWaitingMs)
  }
  const { deadLetters, outbox, reservationLog } = lag ?? {}
  return {
    ...fields,
    'log.entries': count(reservationLog?.entries),
    'log.oldest': reservationLog ? age(reservationLog.oldestMs) : UNKNOWN,
    'outbox.entries': count(outbox?.unpublished),
    'outbox.oldest': outbox ? age(outbox.oldestMs) : UNKNOWN,
    'dead.broker': fault(deadLetters?.broker),
    'dead.kept': fault(deadLetters?.kept),
  }
}

function clockFields(sale: SaleFigures | undefined, gate: GateFigures | undefined) {
  return {
    'skew.redis': skewField(gate && sale && gate.skewMs - sale.skewMs),
    'skew.dashboard': skewField(gate && -gate.skewMs),
  }
}

/** @param ms how far a clock is ahead of the other */
function skewField(ms: number | undefined): Field {
  if (ms === undefined) return UNKNOWN
  const tone: { tone?: Tone } = Math.abs(ms) > SKEW_MS ? { tone: 'warn' } : {}
  return { text: ms === 0 ? 'none' : `${span(Math.abs(ms))} ${ms > 0 ? 'ahead' : 'behind'}`, ...tone }
}

/** The window is judged by the clock of Redis; while that is away, PostgreSQL's has to do. */
function clockOf(sale: Read<SaleFigures>, gate: Read<GateFigures>): LiveView['clock'] {
  if (sale.value === undefined) return null
  const { event } = sale.value
  const source = gate.value === undefined ? sale : gate
  return {
    nowMs: (source.value?.asOfMs ?? 0) + source.ageMs,
    startMs: event.start_at.getTime(),
    endMs: event.end_at.getTime(),
    ended: event.state === 'ended' || event.state === 'draft',
  }
}

function meterShares(books: Books | undefined): LiveView['meter'] {
  if (!books?.meter) return []
  const { free, held, pending, paid, releasing, drift } = books.meter
  return Object.entries({ paid, pending, held, free, releasing, drift: Math.abs(drift) }).map(
    ([name, units]) => ({ name, units: Math.max(0, units) }),
  )
}

function findingLines(books: Books | undefined): FindingLine[] {
  return (books?.lasting ?? []).slice(0, MAX_FINDINGS).map((finding) => ({
    rid: 'rid' in finding ? finding.rid : null,
    text:
      FINDING_WORDS[finding.kind] +
      ('units' in finding
        ? `: ${units(Math.abs(finding.units))} too ${finding.units > 0 ? 'many' : 'few'}`
        : ''),
  }))
}

function chartWords(fields: Record<string, Field>): LiveView['charts'] {
  const text = (name: string): string => fields[name]?.text ?? '?'
  return {
    stock: `Free units over the last ten minutes: now ${text('free')} of ${text('granted')}. ${text('projection')}`,
    requests: `Requests a second over the last ten minutes: now ${text('accepted.rate')} accepted, ${text('rejected.rate')} rejected.`,
    decisions: `Time to a decision: half within ${text('recent.p50')}, 99 of 100 within ${text('recent.p99')}, over the last 30 s.`,
  }
}
