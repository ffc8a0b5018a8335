/** The live page of one sale: readable as it is sent, and kept up to date by its script. */
import type { VNode } from 'preact'
import type { EventStatus } from '../../src/spike-events/model.ts'
import { DecisionsTile, MeterTile, RequestsTile, StateTile, StockTile } from './tiles.tsx'
import { DeadLettersTile, OrdersTile, PaymentsTile, QueuesTile, ReturnsTile } from './work-tiles.tsx'
import type { LiveView } from './wire.ts'

interface SalePageProps {
  eventId: string
  productName: string
  status: EventStatus
  view: LiveView
  steers: boolean
  /** For a screen on a wall: large, without money and without buttons. */
  wall: boolean
}

/** What may be done in which state; each leads to a page that asks again. */
const ACTIONS: readonly { action: string; words: string; when: readonly EventStatus[] }[] = [
  { action: 'pause', words: 'Pause', when: ['published'] },
  { action: 'resume', words: 'Resume', when: ['paused'] },
  { action: 'stock', words: 'Change the stock', when: ['published', 'paused'] },
  { action: 'repair', words: 'Repair', when: ['published', 'paused', 'ended'] },
  { action: 'rebuild', words: 'Rebuild', when: ['published', 'paused', 'ended'] },
  { action: 'end', words: 'End', when: ['published', 'paused'] },
]

export function SalePage({ eventId, productName, status, view, steers, wall }: SalePageProps): VNode {
  return (
    <div class={`live ${wall ? 'wall' : ''}`} data-events={`/sales/${eventId}/events`}>
      <h1>{productName}</h1>
      <p class="muted">
        Sale <code>{eventId}</code> · <span data-connection>as it was when this page was loaded</span>
      </p>
      <p class="unseen" role="status" data-announcement>
        {view.announcement}
      </p>
      {steers && !wall && <Actions eventId={eventId} status={status} />}
      <div class="tiles">
        <StateTile view={view} />
        <StockTile view={view} />
        <RequestsTile view={view} />
        <MeterTile view={view} />
        <DecisionsTile view={view} />
        <OrdersTile view={view} />
        {wall ? <DeadLettersTile view={view} /> : <PaymentsTile view={view} />}
        <QueuesTile view={view} />
        <ReturnsTile view={view} />
        {!wall && <DeadLettersTile view={view} />}
      </div>
      <p>
        <a href={`/sales/${eventId}/report`}>Report</a> ·{' '}
        <a href={`/sales/${eventId}${wall ? '' : '?wall=1'}`}>
          {wall ? 'Ordinary page' : 'For a screen on a wall'}
        </a>
      </p>
    </div>
  )
}

function Actions({ eventId, status }: Pick<SalePageProps, 'eventId' | 'status'>): VNode {
  return (
    <p class="actions">
      {ACTIONS.map(({ action, words, when }) => (
        <a
          class="button"
          href={`/sales/${eventId}/actions/${action}`}
          data-when={when.join(' ')}
          hidden={!when.includes(status)}
          key={action}
        >
          {words}
        </a>
      ))}
    </p>
  )
}
