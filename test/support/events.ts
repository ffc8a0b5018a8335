/** Spike events as the API takes and shows them. */
export interface EventData {
  id: string
  product_id: string
  state: string
  start_at: string
  end_at: string
  spike_price: number
  currency: string
  stock: number
  remaining: number | null
  payment_window_s: number
  per_user_limit: number
  lapse_limit: number
  version: number
  server_time: string
}

const HOUR_MS = 3_600_000

export function inHours(hours: number): string {
  return new Date(Date.now() + hours * HOUR_MS).toISOString()
}

/** Body that drafts a sale of ten units, which is on from an hour ago for two hours. */
export function draftOf(productId: string, change: object = {}): object {
  return {
    product_id: productId,
    start_at: inHours(-1),
    end_at: inHours(1),
    spike_price: 500,
    stock: 10,
    payment_window_s: 300,
    ...change,
  }
}
