import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import type { Logger } from '../platform/logger.ts'
import { withinTime } from '../platform/time-limit.ts'
import type { Callback } from './callback.ts'
import type { Charge, PaymentProvider } from './provider.ts'
import { SIGNATURE_HEADER, signCallback } from './signature.ts'

const ATTEMPTS = 5
const STOP_WITHIN_MS = 4_000
const CALLBACK_WITHIN_MS = 10_000
/** Callbacks under way at the same time, as a provider's own outgoing queue would keep them. */
const CONCURRENCY = 100

/**
 * A payment provider for development: takes every charge, waits a little, then calls back over HTTP with a
 * signature, and again when the callback was not answered with 200. Its transaction id derives from the
 * payment's id, so a charge that is asked for twice is one transaction.
 */
export class SimulatedProvider implements PaymentProvider {
  readonly name = 'simulated'
  readonly #options: { callbackUrl: string; secret: string; delayMs: number; log: Logger }
  readonly #limit = pLimit(CONCURRENCY)
  readonly #underWay = new Set<Promise<void>>()

  constructor(options: { callbackUrl: string; secret: string; delayMs: number; log: Logger }) {
    this.#options = options
  }

  charge(charge: Charge): void {
    const run = this.#callBack(charge).finally(() => this.#underWay.delete(run))
    this.#underWay.add(run)
  }

  /** Charges that come meanwhile, or take too long, are left: their payments stay pending and can be asked for again. */
  async stop(): Promise<void> {
    await withinTime(Promise.all(this.#underWay), STOP_WITHIN_MS).catch((error: unknown) =>
      this.#options.log.warn({ err: error, left: this.#underWay.size }, 'payment callbacks left'),
    )
  }

  async #callBack(charge: Charge): Promise<void> {
    const callback: Callback = {
      txn_id: `sim-${charge.paymentId}`,
      payment_id: charge.paymentId,
      kind: charge.outcome === 'success' ? 'captured' : 'failed',
      amount: charge.amount,
      currency: charge.currency,
    }
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      await sleep(this.#options.delayMs * attempt)
      if (await this.#limit(() => this.#post(JSON.stringify(callback)))) return
    }
    this.#options.log.error({ paymentId: charge.paymentId }, 'payment callback was never accepted')
  }

  async #post(body: string): Promise<boolean> {
    const { callbackUrl, secret, log } = this.#options
    try {
      const response = await fetch(callbackUrl, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          [SIGNATURE_HEADER]: signCallback(secret, body, Date.now()),
        },
        signal: AbortSignal.timeout(CALLBACK_WITHIN_MS),
      })
      await response.arrayBuffer()
      return response.ok
    } catch (error) {
      log.warn({ err: error }, 'payment callback failed')
      return false
    }
  }
}
