import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import type { Logger } from '../platform/logger.ts'
import { withinTime } from '../platform/time-limit.ts'
import type { Callback } from './callback.ts'
import type { Charge, PaymentProvider, Refund } from './provider.ts'
import { SIGNATURE_HEADER, signCallback } from './signature.ts'

const ATTEMPTS = 5
const STOP_WITHIN_MS = 4_000
const CALLBACK_WITHIN_MS = 10_000
/** Callbacks under way at the same time, as a provider's own outgoing queue would keep them. */
const CONCURRENCY = 100
/** A late callback comes so long after the order's deadline, when the order has been closed. */
const LATE_BY_MS = 1_500

/**
 * A payment provider for development: takes every charge, waits a little, then calls back over HTTP with a
 * signature, and again when the callback was not answered with 200. Its transaction ids derive from our ids, so what
 * is asked for twice is one transaction.
 */
export class SimulatedProvider implements PaymentProvider {
  readonly name = 'simulated'
  readonly #options: { callbackUrl: string; secret: string; delayMs: number; log: Logger }
  readonly #limit = pLimit(CONCURRENCY)
  readonly #underWay = new Set<Promise<void>>()
  readonly #abort = new AbortController()

  constructor(options: { callbackUrl: string; secret: string; delayMs: number; log: Logger }) {
    this.#options = options
  }

  charge(charge: Charge): void {
    const { paymentId, amount, currency, outcome } = charge
    if (outcome === 'timeout') return
    const callback: Callback = {
      txn_id: `sim-${paymentId}`,
      payment_id: paymentId,
      kind: outcome === 'failure' ? 'failed' : 'captured',
      amount,
      currency,
    }
    if (outcome === 'late') {
      void this.#callBackLate(callback, charge.expiresInMs + LATE_BY_MS)
      return
    }
    this.#callBack(callback)
    if (outcome === 'duplicate') this.#callBack(callback)
  }

  refund({ refundId, paymentId, amount, currency }: Refund): void {
    const transaction = { txn_id: `sim-refund-${refundId}`, payment_id: paymentId, amount, currency }
    this.#callBack({ ...transaction, kind: 'refunded', refund_id: refundId })
  }

  /** Callbacks that would be late, or take too long, are left: they can be asked for again. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await withinTime(Promise.all(this.#underWay), STOP_WITHIN_MS).catch((error: unknown) =>
      this.#options.log.warn({ err: error, left: this.#underWay.size }, 'payment callbacks left'),
    )
  }

  /** Nobody waits for a late callback; stopping forgets it. */
  async #callBackLate(callback: Callback, afterMs: number): Promise<void> {
    const { signal } = this.#abort
    await sleep(afterMs, undefined, { signal, ref: false }).catch(() => undefined)
    if (!signal.aborted) this.#callBack(callback)
  }

  #callBack(callback: Callback): void {
    const run = this.#deliver(callback).finally(() => this.#underWay.delete(run))
    this.#underWay.add(run)
  }

  async #deliver(callback: Callback): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      await sleep(this.#options.delayMs * attempt)
      if (await this.#limit(() => this.#post(JSON.stringify(callback)))) return
    }
    this.#options.log.error({ txnId: callback.txn_id }, 'payment callback was never accepted')
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
