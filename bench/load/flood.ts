/**
 * A crowd, in phases of given rates: buyers who try until they are taken, some of whom ask what became of it. An open loop:
 * a request is due at its time, whether earlier ones are answered or not. What is kept of each request is a few numbers
 * in columns of a known size; connections are bounded, and so is the line of those that wait for one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Wire, type WireAnswer } from './wire.ts'

export interface FloodPhase {
  name: string
  seconds: number
  /** Tries to buy a second. */
  rate: number
}

export interface FloodJob {
  /** Where purchases are posted. */
  url: string
  /** Of the buyers. Each buys once; one who is refused goes to the end of the line of buyers. */
  tokens: readonly string[]
  connections: number
  /** Requests for a reservation on top of the purchases, as a part of them. */
  asks: number
  phases: readonly FloodPhase[]
}

/** One entry for each request that was due, in the order of their times. Times are ms since `beganAt`; NaN: never. */
export interface FloodColumns {
  dueMs: Float64Array
  sentMs: Float64Array
  answeredMs: Float64Array
  /** 0: not answered. */
  status: Uint16Array
  /** Index in `errors`, 0 for none. */
  error: Uint8Array
  isAsk: Uint8Array
  /** Whether the answer told when to try again. */
  retryAfter: Uint8Array
}

export interface FloodResult extends FloodColumns {
  /** Milliseconds since 1970. */
  beganAt: number
  /** Names of errors that were answered; the first is none. */
  errors: string[]
  /** Reservations that buyers were told. */
  told: string[]
  /** Requests that were due and never sent: no connection was free, and too many waited for one; or no buyer was left. */
  unsent: { noConnection: number; noBuyer: number }
  /** Connections that broke. */
  broken: number
}

interface Request {
  index: number
  buyer: number
  text: string
}

const DRAIN_MS = 5_000
/** Reservations that may be asked for. */
const RECENT = 4_096
const CONNECTS_AT_ONCE = 100

class Flood {
  readonly #job: FloodJob
  readonly #url: URL
  readonly #columns: FloodColumns
  readonly #errors = ['']
  readonly #told: string[] = []
  readonly #recent: { rid: string; buyer: number }[] = []
  readonly #unsent = { noConnection: 0, noBuyer: 0 }
  /** A ring of the buyers who have nothing yet; each is in it at most once. */
  readonly #buyers: Int32Array
  #nextBuyer = 0
  #buyersLeft: number
  /** The one that was idle for longest comes first, so that all are used. */
  readonly #idle: Wire[] = []
  readonly #carried = new Map<Wire, Request>()
  #waiting: Request[] = []
  #beganAt = 0
  #broken = 0

  constructor(job: FloodJob) {
    this.#job = job
    this.#url = new URL(job.url)
    this.#buyers = Int32Array.from(job.tokens, (_token, i) => i)
    this.#buyersLeft = job.tokens.length
    const size = job.phases.reduce((sum, phase) => sum + countOf(phase, job.asks), 0)
    const times = () => new Float64Array(size).fill(NaN)
    this.#columns = {
      dueMs: times(),
      sentMs: times(),
      answeredMs: times(),
      status: new Uint16Array(size),
      error: new Uint8Array(size),
      isAsk: new Uint8Array(size),
      retryAfter: new Uint8Array(size),
    }
  }

  async run(): Promise<FloodResult> {
    for (let i = 0; i < this.#job.connections; i++) {
      this.#connect()
      if (i % CONNECTS_AT_ONCE === 0) await sleep(10)
    }
    while (this.#idle.length < this.#job.connections) await sleep(100)
    this.#beganAt = performance.now()
    let index = 0
    let fromMs = 0
    for (const phase of this.#job.phases) {
      const count = countOf(phase, this.#job.asks)
      for (let sent = 0; sent < count; await sleep(1)) {
        const elapsed = performance.now() - this.#beganAt - fromMs
        for (let dueMs = 0; sent < count; sent++, index++) {
          dueMs = (sent * phase.seconds * 1_000) / count
          if (dueMs > elapsed) break
          this.#due(index, fromMs + dueMs)
        }
      }
      fromMs += phase.seconds * 1_000
    }
    const end = performance.now() + DRAIN_MS
    while (this.#carried.size > 0 && performance.now() < end) await sleep(10)
    for (const wire of [...this.#idle, ...this.#carried.keys()]) wire.end()
    return {
      ...this.#columns,
      beganAt: performance.timeOrigin + this.#beganAt,
      errors: this.#errors,
      told: this.#told,
      unsent: this.#unsent,
      broken: this.#broken,
    }
  }

  /** A connection is greeted, because the server does not keep one for long on which nothing ever came. */
  #connect(): void {
    const wire = new Wire(this.#url.hostname, Number(this.#url.port), {
      answered: (wire, answer) => {
        if (this.#answered(wire, answer)) this.#carryNext(wire)
      },
      lost: (wire) => {
        this.#broken++
        this.#carried.delete(wire)
        const at = this.#idle.indexOf(wire)
        if (at >= 0) this.#idle.splice(at, 1)
        this.#connect()
      },
    })
    wire.send(`GET /healthz HTTP/1.1\r\nHost: ${this.#url.host}\r\n\r\n`)
  }

  #due(index: number, dueMs: number): void {
    this.#columns.dueMs[index] = dueMs
    const every = Math.round(1 / this.#job.asks) + 1
    const isAsk = index % every === 0 && this.#recent.length > 0
    this.#columns.isAsk[index] = Number(isAsk)
    if (this.#idle.length === 0 && this.#waiting.length >= this.#job.connections)
      return void this.#unsent.noConnection++
    const request = isAsk ? this.#ask(index) : this.#purchase(index)
    if (request === undefined) return void this.#unsent.noBuyer++
    const wire = this.#idle.shift()
    if (wire === undefined) this.#waiting.push(request)
    else this.#carry(wire, request)
  }

  #purchase(index: number): Request | undefined {
    if (this.#buyersLeft === 0) return undefined
    const buyer = this.#buyers[this.#nextBuyer] ?? 0
    this.#nextBuyer = (this.#nextBuyer + 1) % this.#buyers.length
    this.#buyersLeft--
    return { index, buyer, text: this.#textOf('POST', this.#url.pathname, buyer, 'Content-Length: 0\r\n') }
  }

  #tryAgainLater(buyer: number): void {
    this.#buyers[(this.#nextBuyer + this.#buyersLeft) % this.#buyers.length] = buyer
    this.#buyersLeft++
  }

  #ask(index: number): Request {
    const { rid = '', buyer = 0 } = this.#recent[Math.floor(Math.random() * this.#recent.length)] ?? {}
    return { index, buyer, text: this.#textOf('GET', `/api/v1/reservations/${rid}`, buyer, '') }
  }

  #textOf(method: string, path: string, buyer: number, more: string): string {
    const token = this.#job.tokens[buyer]
    return `${method} ${path} HTTP/1.1\r\nHost: ${this.#url.host}\r\nAuthorization: Bearer ${token}\r\n${more}\r\n`
  }

  #carry(wire: Wire, request: Request): void {
    this.#columns.sentMs[request.index] = performance.now() - this.#beganAt
    this.#carried.set(wire, request)
    wire.send(request.text)
  }

  #carryNext(wire: Wire): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(wire)
    else this.#carry(wire, next)
  }

  /** @returns whether the connection is free now */
  #answered(wire: Wire, { status, text }: WireAnswer): boolean {
    const request = this.#carried.get(wire)
    if (request === undefined) return status === 200 // to the greeting; anything else ends the connection
    this.#carried.delete(wire)
    const { index, buyer } = request
    const columns = this.#columns
    columns.answeredMs[index] = performance.now() - this.#beganAt
    columns.status[index] = status
    if (status >= 400) {
      columns.error[index] = this.#errorIndex(text)
      columns.retryAfter[index] = Number(/\r\nretry-after: \d+\r\n/i.test(text))
      if (columns.isAsk[index] === 0) this.#tryAgainLater(buyer)
    } else if (status === 202) this.#taken(buyer, text)
    return true
  }

  #taken(buyer: number, text: string): void {
    const rid = /"reservation_id":"([^"]+)"/.exec(text)?.[1]
    if (rid === undefined) throw new Error('a purchase was accepted without a reservation')
    this.#recent[this.#told.length % RECENT] = { rid, buyer }
    this.#told.push(rid)
  }

  #errorIndex(text: string): number {
    const name = /"error":"([A-Z_]+)"/.exec(text)?.[1] ?? 'without a name'
    const known = this.#errors.indexOf(name)
    return known >= 0 ? known : this.#errors.push(name) - 1
  }
}

function countOf({ seconds, rate }: FloodPhase, asks: number): number {
  return Math.round(seconds * rate * (1 + asks))
}

process.on('disconnect', () => process.exit(1))
process.once(
  'message',
  (job) => void new Flood(job as FloodJob).run().then((result) => process.send?.(result)),
)
process.send?.('ready')
