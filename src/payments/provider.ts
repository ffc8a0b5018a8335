/** What the simulated provider can be told to do; a real one decides by itself. */
export const OUTCOMES = ['success', 'failure', 'timeout', 'duplicate', 'late'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** What this backend needs of a payment provider. A real one would implement the same two things. */
export interface PaymentProvider {
  readonly name: string
  /**
   * Asks the provider to take the money. It answers later, by calling back; asking again for the same payment
   * is harmless.
   */
  charge(charge: Charge): void
  /** Waits for the callbacks that are under way. */
  stop(): Promise<void>
}

export interface Charge {
  paymentId: string
  orderId: string
  /** Minor units of `currency`. */
  amount: number
  currency: string
  outcome: Outcome
}
