/**
 * The crowd of one run. A buyer presses the button until there is an answer, follows a reservation to its end, then
 * pays, cancels or lets the order lapse. Answers get lost in these runs, so every request is repeated until one
 * comes; what the buyer was told is noted, because that is what the shop has to keep.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ShopClient } from '../../client/index.ts'
import { bearer, errorOf } from '../../tools/lib/api-client.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'

/** A reservation that a buyer was told of. */
export interface Told {
  userId: string
  rid: string
  /** `queued`: promised to survive any single fault; `named`: told only that there is one. */
  status: 'queued' | 'reserving' | 'named'
  /** The last final answer that the buyer read; undefined while there is none. */
  final: 'ordered' | 'void' | undefined
}

/** What all buyers together saw. */
export interface CrowdLog {
  told: Map<string, Told>
  presses: number
  /** Presses that got no answer at all, by buyer: their units may have been taken all the same. */
  unanswered: Map<string, number>
  /** How often each answer was given. */
  answers: Map<string, number>
  paid: number
  closed: number
  /** Answers that no buyer should ever get. */
  surprises: string[]
}

export interface CrowdOptions {
  shop: ShopClient
  eventId: string
  /** Buyers come within this time. */
  rushMs: number
  payShare: number
  cancelShare: number
  /** Of each buyer. */
  randomOf: (buyer: number) => () => number
  /** When buyers stop pressing the button, and when they stop waiting for answers. */
  shopsUntil: () => boolean
  waitsUntil: () => boolean
}

export function newCrowdLog(): CrowdLog {
  return {
    told: new Map(),
    presses: 0,
    unanswered: new Map(),
    answers: new Map(),
    paid: 0,
    closed: 0,
    surprises: [],
  }
}

/** Answers after which pressing again makes sense; the others are final. */
const TRY_AGAIN = new Set([
  'ALL_HELD',
  'SALE_PAUSED',
  'NOT_READY',
  'OVERLOADED',
  'SALE_NOT_STARTED',
  'IDEMPOTENCY_IN_FLIGHT',
  'INTERNAL',
])
const FINAL = new Set(['SOLD_OUT', 'SALE_ENDED', 'LAPSE_LIMIT'])
const POLL_MS = 250

/** Sends all buyers and resolves when the last one has left. */
export async function runCrowd(
  options: CrowdOptions,
  buyers: readonly LoadBuyer[],
  log: CrowdLog,
): Promise<void> {
  await Promise.all(
    buyers.map(async (buyer, i) => {
      const random = options.randomOf(i)
      await sleep(random() * options.rushMs)
      await new Visit(options, buyer, random, log).run()
    }),
  )
}

/** One buyer's visit. */
class Visit {
  readonly #options: CrowdOptions
  readonly #buyer: LoadBuyer
  readonly #random: () => number
  readonly #log: CrowdLog
  readonly #headers: { Authorization: string }

  constructor(options: CrowdOptions, buyer: LoadBuyer, random: () => number, log: CrowdLog) {
    this.#options = options
    this.#buyer = buyer
    this.#random = random
    this.#log = log
    this.#headers = bearer(buyer.access_token)
  }

  async run(): Promise<void> {
    // Once more after an order that lapsed or was cancelled: the event allows one.
    for (let visits = 0; visits < 2; visits++) {
      const rid = await this.#press()
      if (rid === undefined) return
      const orderId = await this.#verdict(rid)
      if (orderId === undefined) continue
      if ((await this.#finish(orderId)) !== 'closed') return
    }
  }

  /** @returns the rid that the buyer was told, or undefined for a buyer who leaves with nothing */
  async #press(): Promise<string | undefined> {
    let key: string = randomUUID()
    for (;;) {
      const reply = await this.#buy(key)
      if (reply.rid !== undefined) return reply.rid
      if (FINAL.has(reply.error) || !this.#options.shopsUntil()) return undefined
      if (reply.error !== 'UNANSWERED' && !TRY_AGAIN.has(reply.error)) {
        this.#log.surprises.push(`a purchase answered ${reply.error}`)
        return undefined
      }
      // A lost answer is asked for with the same key or a new one, as browsers and people do.
      if (reply.error !== 'UNANSWERED' || this.#random() < 0.5) key = randomUUID()
      await sleep(100 + this.#random() * 500)
    }
  }

  async #buy(key: string): Promise<{ rid: string } | { rid: undefined; error: string }> {
    const { shop, eventId } = this.#options
    this.#log.presses++
    const result = await answered(
      shop.POST('/api/v1/spike-events/{id}/orders', {
        headers: this.#headers,
        params: { path: { id: eventId }, header: { 'Idempotency-Key': key } },
        body: {},
      }),
    )
    const userId = this.#buyer.user_id
    if (result === undefined) {
      this.#log.unanswered.set(userId, (this.#log.unanswered.get(userId) ?? 0) + 1)
      return { rid: undefined, error: 'UNANSWERED' }
    }
    if (result.data !== undefined) {
      const { reservation_id: rid, status } = result.data.data
      return this.#told(rid, status)
    }
    const error = errorOf(result)
    count(this.#log.answers, error)
    if (error === 'ALREADY_PURCHASED') {
      const named = (result.error as { data?: { reservation_id?: unknown } }).data?.reservation_id
      return typeof named === 'string' ? this.#told(named, 'named') : { rid: undefined, error }
    }
    return {
      rid: undefined,
      error: result.response.status >= 500 && !TRY_AGAIN.has(error) ? 'INTERNAL' : error,
    }
  }

  #told(rid: string, status: Told['status']): { rid: string } {
    count(this.#log.answers, status)
    const before = this.#log.told.get(rid)
    if (before === undefined || before.status !== 'queued')
      this.#log.told.set(rid, { userId: this.#buyer.user_id, rid, status, final: before?.final })
    return { rid }
  }

  /** Waits for the final answer on a reservation. @returns the order's id, undefined for a void */
  async #verdict(rid: string): Promise<string | undefined> {
    const told = this.#log.told.get(rid)
    for (; this.#options.waitsUntil(); await sleep(POLL_MS)) {
      const result = await answered(
        this.#options.shop.GET('/api/v1/reservations/{rid}', {
          headers: this.#headers,
          params: { path: { rid } },
        }),
      )
      const found = result?.data?.data
      // Anything but a reservation: a process or a store is down, or Redis has lost what only it knew. Ask again.
      if (found === undefined || told === undefined) continue
      if (found.status !== 'ordered' && found.status !== 'void') continue
      if (told.final !== undefined && told.final !== found.status)
        this.#log.surprises.push(`reservation ${rid} was ${told.final} and became ${found.status}`)
      told.final = found.status
      count(this.#log.answers, found.status === 'void' ? `void: ${found.reason}` : found.status)
      return found.status === 'ordered' ? found.order_id : undefined
    }
    return undefined
  }

  async #finish(orderId: string): Promise<'paid' | 'closed' | 'left'> {
    const choice = this.#random()
    const { payShare, cancelShare, shop } = this.#options
    const params = { path: { id: orderId } }
    if (choice < payShare) await this.#pay(orderId)
    else if (choice < payShare + cancelShare)
      await this.#until(() => shop.POST('/api/v1/orders/{id}/cancel', { headers: this.#headers, params }))
    for (; this.#options.waitsUntil(); await sleep(POLL_MS)) {
      const result = await answered(shop.GET('/api/v1/orders/{id}', { headers: this.#headers, params }))
      const status = result?.data?.data.status
      if (status === 'paid') {
        this.#log.paid++
        return 'paid'
      }
      if (status === 'closed' || status === 'refunded') {
        this.#log.closed++
        return 'closed'
      }
    }
    return 'left'
  }

  async #pay(orderId: string): Promise<void> {
    const throwDie = this.#random()
    const outcome =
      throwDie < 0.75 ? 'success' : throwDie < 0.85 ? 'duplicate' : throwDie < 0.95 ? 'late' : 'failure'
    await this.#until(() =>
      this.#options.shop.POST('/api/v1/orders/{id}/payments', {
        headers: this.#headers,
        params: { path: { id: orderId } },
        body: { outcome },
      }),
    )
  }

  /** Repeats a request until the shop answers it, whatever it says, short of an error of its own. */
  async #until(request: () => Promise<{ response: Response }>): Promise<void> {
    for (; this.#options.waitsUntil(); await sleep(POLL_MS)) {
      const result = await answered(request())
      if (result !== undefined && result.response.status < 500) return
    }
  }
}

/** @returns undefined when there was no answer */
async function answered<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request
  } catch {
    return undefined
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
