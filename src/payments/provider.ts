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
  /** What the simulated provider shall answer; a real one decides by itself. */
  outcome: 'success' | 'failure'
}
