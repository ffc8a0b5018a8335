import { setTimeout as sleep } from 'node:timers/promises'
import type { Channel, ConsumeMessage } from 'amqplib'
import type { Logger } from '../logger.ts'
import { withinTime } from '../time-limit.ts'
import { KeptChannel, type RabbitConnection } from './connection.ts'

const CANCEL_WITHIN_MS = 1_000
const FINISH_WITHIN_MS = 5_000

interface BatchConsumerOptions {
  connection: RabbitConnection
  queue: string
  maxBatch: number
  /** Longest time that the first message of a batch waits for company. */
  maxWaitMs: number
  prepare: (channel: Channel) => Promise<void>
  /** Must leave every message of the batch done (or parked) when it resolves: all are acked then. */
  handle: (batch: readonly ConsumeMessage[]) => Promise<void>
  log: Logger
}

/**
 * Consumes one queue in batches, one batch at a time, and acks a batch after its handler is through.
 *
 * A handler that fails means a store is down, not that the messages are bad: the batch stays unacked and is
 * tried again here, so that an outage does not use up the broker's delivery limit. A crash or a lost channel
 * gives the messages back to the broker.
 */
export class BatchConsumer {
  readonly #options: BatchConsumerOptions
  readonly #kept: KeptChannel<Channel>
  /** Messages with the channel that they came over: a delivery tag means nothing on another one. */
  #buffer: { channel: Channel; message: ConsumeMessage }[] = []
  readonly #lost = new WeakSet<Channel>()
  #consumerTag: string | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #stopping = false

  constructor(options: BatchConsumerOptions) {
    this.#options = options
    this.#kept = new KeptChannel<Channel>({
      open: () => options.connection.createChannel(),
      prepare: (channel) => this.#subscribe(channel),
      lost: (channel) => {
        this.#lost.add(channel)
        this.#buffer = this.#buffer.filter((taken) => taken.channel !== channel)
      },
      log: options.log,
    })
  }

  start(): Promise<void> {
    return this.#kept.open()
  }

  /** False while nothing is consumed, for want of a channel or because it was stopped. */
  get isOpen(): boolean {
    return this.#kept.current !== undefined && !this.#stopping
  }

  /** Takes no more messages, finishes those in hand when the stores answer, gives the others back. */
  async stop(): Promise<void> {
    this.#stopping = true
    const channel = this.#kept.current
    if (channel !== undefined && this.#consumerTag !== undefined)
      // A lost channel has no consumer to cancel, and a silent broker is not waited for.
      await withinTime(channel.cancel(this.#consumerTag), CANCEL_WITHIN_MS).catch(() => undefined)
    this.#flush()
    await withinTime(this.#finish(), FINISH_WITHIN_MS).catch(() => undefined) // what is left goes back to the broker
    clearTimeout(this.#timer)
    await this.#kept.close()
  }

  async #finish(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #subscribe(channel: Channel): Promise<void> {
    const { queue, maxBatch, prepare, log } = this.#options
    await prepare(channel)
    await channel.prefetch(maxBatch * 2)
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (message !== null) return this.#take(channel, message)
      log.warn({ queue }, 'broker cancelled the consumer')
      void channel.close().catch(() => undefined) // its loss opens a new one
    })
    this.#consumerTag = consumerTag
  }

  #take(channel: Channel, message: ConsumeMessage): void {
    this.#buffer.push({ channel, message })
    if (this.#buffer.length >= this.#options.maxBatch) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), this.#options.maxWaitMs)
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const channel = this.#buffer[0]?.channel
    if (this.#running !== undefined || channel === undefined) return
    const others = this.#buffer.findIndex((taken) => taken.channel !== channel)
    const batch = this.#buffer.splice(0, Math.min(this.#options.maxBatch, others === -1 ? Infinity : others))
    this.#running = this.#work(
      channel,
      batch.map(({ message }) => message),
    ).finally(() => {
      this.#running = undefined
      this.#flush()
    })
  }

  /** A batch is acked on the channel it came over, or not at all. */
  async #work(channel: Channel, batch: readonly ConsumeMessage[]): Promise<void> {
    for (let delay = 200; !this.#lost.has(channel); delay = Math.min(delay * 2, 5_000)) {
      try {
        await this.#options.handle(batch)
        const last = batch.at(-1)
        if (last !== undefined && !this.#lost.has(channel)) channel.ack(last, true)
        return
      } catch (error) {
        this.#options.log.error({ err: error, size: batch.length }, 'batch failed, will be tried again')
        if (this.#stopping) {
          this.#buffer = [] // closing the channel hands them back
          return
        }
        await sleep(delay)
      }
    }
  }
}
