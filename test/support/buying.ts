/** The way of a buyer through the API, as far as tests have to walk it. */
import { expect } from 'chai'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import type { Client, Reply } from './http.ts'
import { until } from './wait.ts'

export interface Accepted {
  reservation_id: string
  status: string
  poll_after_ms: number
}

export interface Verdict {
  reservation_id: string
  status: 'reserving' | 'queued' | 'ordered' | 'void'
  reason?: string
  order_id?: string
  expires_at?: string
}

export interface OrderData {
  id: string
  status: string
  close_reason: string | null
  event_id: string
  reservation_id: string
  amount: number
  currency: string
  items: { product_id: string; quantity: number; unit_price: number }[]
  expires_at: string
  payments: { id: string; status: string; amount: number }[]
  refunds: { id: string; status: string; amount: number; currency: string; reason: string }[]
}

/** @param api client behind `/api/v1` */
export function buy(
  api: Client,
  eventId: string,
  buyer: LoadBuyer,
  json: object = {},
): Promise<Reply<Accepted>> {
  return api<Accepted>('POST', `/spike-events/${eventId}/orders`, { token: buyer.access_token, json })
}

/** Asks for the verdict on a rid until there is one. */
export function verdictOn(api: Client, rid: string, buyer: LoadBuyer): Promise<Verdict> {
  return until(`a verdict on ${rid}`, async () => {
    const { status, body, text } = await api<Verdict>('GET', `/reservations/${rid}`, {
      token: buyer.access_token,
    })
    expect(status, text).to.equal(200)
    return ['ordered', 'void'].includes(body.data.status) ? body.data : false
  })
}

/** Buys and waits for the order. */
export async function order(
  api: Client,
  eventId: string,
  buyer: LoadBuyer,
  json: object = {},
): Promise<{ rid: string; orderId: string }> {
  const reply = await buy(api, eventId, buyer, json)
  expect(reply.status, reply.text).to.equal(202)
  const rid = reply.body.data.reservation_id
  const verdict = await verdictOn(api, rid, buyer)
  if (verdict.order_id === undefined) throw new Error(`no order for ${rid}: ${verdict.reason}`)
  return { rid, orderId: verdict.order_id }
}

export async function readOrder(api: Client, orderId: string, buyer: LoadBuyer): Promise<OrderData> {
  const reply = await api<OrderData>('GET', `/orders/${orderId}`, { token: buyer.access_token })
  expect(reply.status, reply.text).to.equal(200)
  return reply.body.data
}

/** Pays through the simulated provider and waits until the order has this status. */
export async function pay(
  api: Client,
  orderId: string,
  buyer: LoadBuyer,
  expected = 'paid',
  json: object = {},
): Promise<OrderData> {
  const started = await api('POST', `/orders/${orderId}/payments`, { token: buyer.access_token, json })
  expect(started.status, started.text).to.equal(202)
  return until(`order ${orderId} to be ${expected}`, async () => {
    const found = await readOrder(api, orderId, buyer)
    return found.status === expected ? found : false
  })
}
