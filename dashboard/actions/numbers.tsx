/** The numbers that an action touches, as they are now. */
import type { VNode } from 'preact'
import type { Touched } from '../../src/figures/touched.ts'
import type { Action } from './words.ts'

interface NumberLine {
  label: string
  value: number | string | null
  hint?: string
}

export function NumbersTable({ lines }: { lines: readonly NumberLine[] }): VNode {
  return (
    <table class="table">
      <tbody>
        {lines.map(({ label, value, hint }) => (
          <tr key={label}>
            <th scope="row">
              {label}
              {hint && <div class="muted">{hint}</div>}
            </th>
            <td class="number">{value ?? 'unknown'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

export interface Numbers extends Touched {
  /** Purchase requests that reach the gate; null when that is not known. */
  requestsPerS: number | null
  /** Reservations that wait in the broker, of all sales; null when it does not tell. */
  backlog: number | null
}

export function numbersOf(action: Exclude<Action, 'repair'>, numbers: Numbers): NumberLine[] {
  const { event, product, redis, pendingOrders, pendingUnits, undecided } = numbers
  const available = { label: 'Free units', value: event.available, hint: 'granted and without an order' }
  const pending = { label: 'Unpaid orders', value: pendingOrders, hint: `${pendingUnits} units` }
  const inFlight = { label: 'Reservations without a verdict', value: undecided, hint: 'in the inbox' }
  const held = {
    label: 'Units taken at the gate',
    value: redisNumber(redis, 'taken'),
    hint: 'reserved, ordered or paid, by Redis',
  }
  const requests = {
    label: 'Purchase requests a second',
    value: rounded(numbers.requestsPerS),
    hint: 'counted while somebody watches the live page',
  }
  const inventory = { label: `Inventory of ${product.name}`, value: product.inventory }
  switch (action) {
    case 'pause':
    case 'resume':
      return [requests, available, held, pending, inFlight]
    case 'end':
      return [
        { ...available, label: 'Free units that go back to the inventory' },
        { ...pending, label: 'Unpaid orders that stay' },
        inFlight,
        held,
        requests,
        inventory,
      ]
    case 'stock':
      return [{ label: 'Granted units', value: event.granted }, available, held, pending, inventory]
    case 'rebuild':
      return [
        { label: 'Epoch', value: event.epoch, hint: `becomes ${event.epoch + 1}` },
        { label: 'Rids that Redis knows', value: redisNumber(redis, 'rids') },
        inFlight,
        {
          label: 'Reservations in the broker',
          value: numbers.backlog,
          hint: 'of all sales; waited for, at most 5 s',
        },
        available,
        { label: 'Free units at the gate', value: redisNumber(redis, 'free'), hint: 'by Redis' },
        requests,
      ]
  }
}

function redisNumber(redis: Touched['redis'], name: 'free' | 'taken' | 'rids'): number | string | null {
  return redis === 'lost' ? 'no gate' : redis && redis[name]
}

function rounded(perSecond: number | null): number | null {
  return perSecond === null ? null : Math.round(perSecond * 10) / 10
}
