/** All stores of one sale, the buyers' own log, and the processes that are under way. */
import type { Mutant } from './mutants.ts'
import { openPostgres, type Callback, type Payload, type Postgres, type Topic } from './postgres.ts'
import { StoreDown, effect, type Fate, type Process, type Steps, type Work } from './process.ts'
import { Broker, Jobs } from './queues.ts'
import { openRedis, type Claimed, type StockRedis } from './redis.ts'

export interface Sale {
  units: number
  buyers: number
  perUserLimit: number
  lapseLimit: number
}

/** Seconds; the same proportions as in the product. */
export const PAYMENT_WINDOW = 900
export const AGED = 2
export const UNDECIDED_AFTER = 5
export const STRAY_AFTER = 10
export const GIVEN_UP_AFTER = 60
/** A consumer that hangs with a message loses it after so long. */
export const SETTLED_AFTER = 40
export const REFUND_AGAIN = 30

/** What faults have taken away for good, which excuses what buyers and net would not be excused for else. */
export interface Losses {
  /** Redis came back older or empty. */
  redis: boolean
  /** Messages that the broker had confirmed, or jobs, are gone, or lie among the dead letters. */
  queues: boolean
  /** A process went on without the lock that it had taken. */
  locks: boolean
  /** Units were promised twice on purpose: a stock was cut, or late money and a buyer raced for the last one. */
  promises: boolean
}

export interface Memory {
  findings: readonly string[]
  rebuiltFor: readonly string[]
}

export class World {
  now = 1_000
  readonly sale: Sale
  readonly planted: Mutant | undefined
  readonly redis: StockRedis
  readonly pg: Postgres
  readonly broker = new Broker()
  readonly jobs = new Jobs()
  readonly lost: Losses = { redis: false, queues: false, locks: false, promises: false }
  /** What buyers asked for, by rid, and the claims that late money made. */
  readonly asked = new Map<string, Claimed & { reservedAt: number }>()
  readonly late = new Map<string, { hadRoom: boolean }>()
  /** What buyers were told of their rid, and when. */
  readonly told = new Map<string, { word: 'queued' | 'reserving'; at: number }>()
  /** Transactions of the payment provider, and the refunds that it has paid out. */
  readonly callbacks: Callback[] = []
  readonly paidOut = new Set<string>()
  /** When the broker confirmed a copy that the net has published, as a worker remembers. */
  readonly republished = new Map<string, number>()
  /** What the reconciler remembers from pass to pass. */
  memory: Memory = { findings: [], rebuiltFor: [] }
  /** Settlements of late money that have asked Redis for room and are not committed. */
  lateUnderWay = 0
  running: Process[] = []
  /** One line for each effect, while somebody wants to read them. */
  trace: string[] | undefined
  /** Called after each effect. */
  afterEffect: () => void = () => undefined
  #processes = 0
  #rids = 0

  constructor(sale: Sale, planted?: Mutant) {
    const { units, perUserLimit, lapseLimit } = sale
    this.sale = sale
    this.planted = planted
    this.redis = openRedis({ granted: units, perUserLimit, lapseLimit }, planted)
    this.pg = openPostgres(
      { granted: units, perUserLimit, lapseLimit, paymentWindow: PAYMENT_WINDOW },
      planted,
    )
  }

  /** Ids rise with time. */
  newRid(): string {
    return `r${String(++this.#rids).padStart(3, '0')}`
  }

  has(mutant: Mutant): boolean {
    return this.planted === mutant
  }

  /** A process at its first effect. */
  spawn(name: string, work: Work): Process {
    const process = { id: ++this.#processes, name, work, next: '' }
    this.running.push(process)
    this.#proceed(process, () => work.next())
    return process
  }

  /** One effect of a process, with its fate. */
  step(process: Process, fate: Fate = 'done'): void {
    this.trace?.push(`  ${process.name} #${process.id}: ${process.next}${fate === 'done' ? '' : `, ${fate}`}`)
    this.#proceed(process, () => process.work.next(fate))
    this.afterEffect()
  }

  /** All effects that are left, and those of nobody else. */
  finish(process: Process): void {
    while (this.running.includes(process)) this.step(process)
  }

  /** The process dies; its connections close, so locks and deliveries are free again. */
  crash(process: Process): void {
    this.trace?.push(`  ${process.name} #${process.id}: crashes before ${process.next}`)
    this.running = this.running.filter((other) => other !== process)
    process.work.return()
    // The worker is gone with what it remembers.
    this.republished.clear()
    this.memory = { findings: [], rebuiltFor: [] }
    this.afterEffect()
  }

  /** Time goes by, and with it the connections of consumers that hang. */
  pass(seconds: number): void {
    this.now += seconds
    this.broker.requeue(this.broker.unacked.filter(({ since }) => since <= this.now - SETTLED_AFTER))
  }

  /** A message with confirm. @returns whether the broker is known to have it */
  *publish(topic: Topic, payload: Payload): Steps<boolean> {
    try {
      yield* effect(`publish ${topic} ${payload.rid}`, () => {
        if (this.broker.down) throw new StoreDown('the broker is down')
        this.broker.publish(topic, payload)
      })
      return true
    } catch (error) {
      if (error instanceof StoreDown) return false
      throw error
    }
  }

  /** Changes of all stores so far: when a round of the net adds none, everything is at rest. */
  get changes(): number {
    return this.redis.writes + this.pg.writes + this.broker.changes + this.jobs.changes
  }

  #proceed(process: Process, next: () => IteratorResult<string, void>): void {
    try {
      const result = next()
      if (!result.done) {
        process.next = result.value
        return
      }
    } catch (error) {
      if (!(error instanceof StoreDown)) throw error
      this.trace?.push(`    #${process.id} gives up: ${error.message}`)
    }
    this.running = this.running.filter((other) => other !== process)
  }
}
