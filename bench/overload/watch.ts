/** What processes and stores look like while the load is on, once a second. */
import { setTimeout as sleep } from 'node:timers/promises'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { queuePrefix } from '../../src/platform/bullmq/job.ts'
import { infoField } from '../../src/platform/redis/info.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { onlyServer, type Arena } from '../lib/arena.ts'
import { listenerOf, useOf, type ProcessUse } from '../lib/proc.ts'

export const WATCHED = ['API', 'workers', 'proxy', 'generator', 'RabbitMQ', 'Redis'] as const
export type Watched = (typeof WATCHED)[number]

export interface Look {
  /** Milliseconds since 1970. */
  at: number
  uses: Partial<Record<Watched, ProcessUse>>
  redisMb: number
  queueRedisMb: number
  /** Event loop of the API, p99 since the look before; NaN for one that does not tell. */
  lagMs: number
  /** Messages that no bridge has taken. */
  messages: number
  /** Jobs that no worker has taken. */
  jobs: number
  /** Reservations without a verdict, wherever they are. */
  undecided: number
}

const EVERY_MS = 1_000

export class Watch {
  readonly looks: Look[] = []
  readonly #arena: Arena
  readonly #eventId: string
  readonly #pids: Partial<Record<Watched, number>>
  readonly #metricsUrl: string | undefined
  #over = false
  #looking: Promise<void> = Promise.resolve()

  /** @param metricsUrl of the API; undefined for one that has no metrics */
  constructor(
    arena: Arena,
    eventId: string,
    pids: Partial<Record<Watched, number>>,
    metricsUrl: string | undefined,
  ) {
    this.#arena = arena
    this.#metricsUrl = metricsUrl
    this.#eventId = eventId
    const [rabbit, redis] = [listenerOf(arena.config.amqpUrl), listenerOf(arena.config.redisUrl)]
    this.#pids = {
      ...pids,
      ...(rabbit === undefined ? {} : { RabbitMQ: rabbit }),
      ...(redis === undefined ? {} : { Redis: redis }),
    }
  }

  /** The load generator, whose processor time is that of the subjects. */
  also(generator: number): void {
    this.#pids.generator = generator
  }

  start(): void {
    this.#looking = this.#lookOften()
    this.#looking.catch(() => undefined) // heard of by whoever stops it
  }

  /** @throws what a look has met */
  async stop(): Promise<void> {
    this.#over = true
    await this.#looking
  }

  async #lookOften(): Promise<void> {
    for (; !this.#over; await sleep(EVERY_MS - (Date.now() % EVERY_MS))) await this.#look()
  }

  async #look(): Promise<void> {
    const { redis, queueRedis, config } = this.#arena
    const memoryMb = async (of: typeof redis) =>
      Number(await infoField(onlyServer(of), 'memory', 'used_memory')) / 2 ** 20
    const [redisMb, queueRedisMb, lagMs, messages, jobs, undecided] = await Promise.all([
      memoryMb(redis),
      memoryMb(queueRedis),
      this.#lagMs(),
      this.#arena.waiting(reservationAccepted),
      queueRedis.llen(`${queuePrefix(config.namespace, createOrderJob.step)}:${createOrderJob.step}:wait`),
      redis.xlen(spikeKeys(this.#eventId).log),
    ])
    const uses = Object.fromEntries(
      Object.entries(this.#pids).flatMap(([name, pid]) => {
        const use = useOf(pid)
        return use === undefined ? [] : [[name, use]]
      }),
    )
    this.looks.push({ at: Date.now(), uses, redisMb, queueRedisMb, lagMs, messages, jobs, undecided })
  }

  /** Scraped over a new connection each time: that probes get in is seen here too. */
  async #lagMs(): Promise<number> {
    if (this.#metricsUrl === undefined) return NaN
    const reply = await fetch(this.#metricsUrl, { headers: { connection: 'close' } })
    if (!reply.ok) throw new Error(`the API refused a probe with ${reply.status}`)
    return Number(/^nodejs_eventloop_lag_p99_seconds (\S+)/m.exec(await reply.text())?.[1]) * 1_000
  }
}
