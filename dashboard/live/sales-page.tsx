/** The list of sales. */
import type { VNode } from 'preact'
import { EVENT_STATES, type EventState, type SpikeEventView } from '../../src/spike-events/model.ts'
import { count } from '../words.ts'

export interface SaleLine {
  event: SpikeEventView
  productName: string
  /** Units free in Redis; null when it does not tell. */
  free: number | null
}

interface SalesPageProps {
  sales: readonly SaleLine[]
  total: number
  page: number
  pageSize: number
  state: EventState | undefined
}

const STATE_WORDS: Record<EventState, { words: string; tone: string }> = {
  draft: { words: 'draft', tone: '' },
  published: { words: 'scheduled', tone: 'info' },
  live: { words: 'on sale', tone: 'ok' },
  paused: { words: 'paused', tone: 'warn' },
  ended: { words: 'ended', tone: '' },
}

export function SalesPage({ sales, total, page, pageSize, state }: SalesPageProps): VNode {
  return (
    <>
      <h1>Sales</h1>
      <nav class="actions" aria-label="States">
        <a href="/sales" aria-current={state === undefined ? 'page' : undefined}>
          all but drafts
        </a>
        {EVENT_STATES.map((name) => (
          <a href={`/sales?state=${name}`} aria-current={state === name ? 'page' : undefined} key={name}>
            {STATE_WORDS[name].words}
          </a>
        ))}
      </nav>
      {sales.length === 0 ? <p>There are none.</p> : <SalesTable sales={sales} />}
      <p class="actions">
        {page > 1 && <a href={pageLink(state, page - 1)}>newer</a>}
        {page * pageSize < total && <a href={pageLink(state, page + 1)}>older</a>}
      </p>
    </>
  )
}

function pageLink(state: EventState | undefined, page: number): string {
  return `/sales?${state === undefined ? '' : `state=${state}&`}page=${page}`
}

function SalesTable({ sales }: { sales: readonly SaleLine[] }): VNode {
  return (
    <div class="scroll" role="region" aria-label="Sales" tabIndex={0}>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Product</th>
            <th scope="col">State</th>
            <th scope="col">From, UTC</th>
            <th scope="col">To, UTC</th>
            <th scope="col" class="number">
              Granted
            </th>
            <th scope="col" class="number">
              Free
            </th>
            <th scope="col" class="number">
              Sold
            </th>
          </tr>
        </thead>
        <tbody>
          {sales.map((line) => (
            <SaleRow line={line} key={line.event.id} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function SaleRow({ line: { event, productName, free } }: { line: SaleLine }): VNode {
  const { words, tone } = STATE_WORDS[event.state]
  return (
    <tr>
      <th scope="row">
        <a href={`/sales/${event.id}`}>{productName}</a>
      </th>
      <td>
        <span class={`badge ${tone}`}>{words}</span>
      </td>
      <td>{minute(event.start_at)}</td>
      <td>{minute(event.end_at)}</td>
      <td class="number">{count(event.state === 'draft' ? event.stock : event.granted).text}</td>
      <td class="number">{event.state === 'draft' ? '–' : count(free).text}</td>
      <td class="number">{count(event.granted - event.available).text}</td>
    </tr>
  )
}

function minute(at: Date): string {
  return at.toISOString().slice(0, 16).replace('T', ' ')
}
