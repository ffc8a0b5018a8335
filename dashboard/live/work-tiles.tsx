/** The tiles about work that lies between the steps, and about orders and money. */
import type { VNode } from 'preact'
import { Facts, Live, Tile } from './tile.tsx'
import type { LiveView } from './wire.ts'

interface TileView {
  view: LiveView
}

/** In the order of the flow; what feeds each step stands in front of it. */
const STEPS = [
  { step: 'create-order', message: 'reservation.accepted' },
  { step: 'close-order', message: 'order.created' },
  { step: 'release-stock', message: 'stock.released' },
] as const
const COLUMNS = ['broker', 'waiting', 'active', 'delayed', 'failed', 'oldest'] as const

export function QueuesTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Queues" part="lag" wide>
      <div class="scroll" role="region" aria-label="Queues" tabIndex={0}>
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Message, then step</th>
              <th scope="col" class="number">
                RabbitMQ ready
              </th>
              <th scope="col" class="number">
                BullMQ waiting
              </th>
              <th scope="col" class="number">
                active
              </th>
              <th scope="col" class="number">
                delayed
              </th>
              <th scope="col" class="number">
                failed
              </th>
              <th scope="col" class="number">
                oldest waits
              </th>
            </tr>
          </thead>
          <tbody>
            {STEPS.map(({ step, message }) => (
              <tr key={step}>
                <th scope="row">
                  {message} → <a href={`/queues/queue/${step}`}>{step}</a>
                </th>
                {COLUMNS.map((column) => (
                  <td class="number" key={column}>
                    <Live view={view} name={`${step}.${column}`} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted">
        Of all sales together; delayed jobs of close-order are orders that may still be paid.
      </p>
      <Facts
        view={view}
        rows={[
          ['reservation log, without a verdict', 'log.entries'],
          ['its oldest entry', 'log.oldest'],
          ['outbox, not confirmed by RabbitMQ', 'outbox.entries'],
          ['its oldest row', 'outbox.oldest'],
        ]}
      />
    </Tile>
  )
}

export function DeadLettersTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Dead letters" part="lag">
      <p class="figure">
        <Live view={view} name="dead.kept" /> <span class="muted">kept</span>{' '}
        <Live view={view} name="dead.broker" /> <span class="muted">on their way</span>
      </p>
      <p>
        <a href="/dead-letters">Look at them</a>
      </p>
    </Tile>
  )
}

export function OrdersTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Orders" part="books">
      <Facts
        view={view}
        rows={[
          ['made', 'orders.made'],
          ['pending', 'orders.pending'],
          ['… due within a minute', 'due.soon'],
          ['… more than 10 s overdue', 'due.overdue'],
          ['paid', 'orders.paid'],
          ['refunded', 'orders.refunded'],
        ]}
      />
    </Tile>
  )
}

export function PaymentsTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Payments" part="books" class="money">
      <Facts
        view={view}
        rows={[
          ['captured', 'money.captured'],
          ['refunded', 'money.refunded'],
          ['refunds', 'money.refunds'],
          ['orders that were paid', 'money.conversion'],
        ]}
      />
    </Tile>
  )
}

export function ReturnsTile({ view }: TileView): VNode {
  return (
    <Tile view={view} title="Lapses and second sales" part="books">
      <Facts
        view={view}
        rows={[
          ['orders lapsed', 'orders.lapsed'],
          ['orders cancelled', 'orders.cancelled'],
          ['units being released', 'meter.releasing'],
          ['units sold a second time', 'secondSales'],
          ['reservations refused later', 'voids'],
        ]}
      />
    </Tile>
  )
}
