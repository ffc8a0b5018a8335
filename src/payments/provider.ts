/** What the simulated provider can be told to do; a real one decides by itself. */
export const OUTCOMES = ['success', 'failure', 'timeout', 'duplicate', 'late'] as const
export type Outcome = (typeof OUTCOMES)[number]

/**
 * What this backend needs of a payment provider; a real one would implement the same. Both requests are answered
 * later, by a signed callback, and both may be made again: the provider takes them once by our ids.
 */
export interface PaymentProvider {
  readonly name: string
  /** Asks the provider to take the money. */
  charge(charge: Charge): void
  /** Asks the provider to give the money of one of its transactions back. */
  refund(refund: Refund): void
  /** Waits for the callbacks that are under way. */
  stop(): Promise<void>
}

export interface Charge {
  paymentId: string
  orderId: string
  /** Minor units of `currency`. */
  amount: number
  currency: string
  /** Until the order's deadline, by PostgreSQL's clock. */
  expiresInMs: number
  outcome: Outcome
}

export interface Refund {
  refundId: string
  paymentId: string
  /** The provider's transaction that took the money. */
  txnId: string
  amount: number
  currency: string
}
