import { setTimeout as sleep } from 'node:timers/promises'
import type { Channel, ConsumeMessage } from 'amqplib'
import type { Logger } from '../logger.ts'
import { KeptChannel, type RabbitConnection } from './connection.ts'

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
  #buffer: ConsumeMessage[] = []
  #consumerTag: string | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #stopping = false

  constructor(options: BatchConsumerOptions) {
    this.#options = options
    this.#kept = new KeptChannel<Channel>({
      open: () => options.connection.createChannel(),
      prepare: (channel) => this.#subscribe(channel),
      lost: () => {
        this.#buffer = []
      },
      log: options.log,
    })
  }

  start(): Promise<void> {
    return this.#kept.open()
  }

  /** Takes no more messages, finishes those in hand when the stores answer, gives the others back. */
  async stop(): Promise<void> {
    this.#stopping = true
    const channel = this.#kept.current
    if (channel !== undefined && this.#consumerTag !== undefined)
      await channel.cancel(this.#consumerTag).catch(() => undefined) // a lost channel has no consumer to cancel
    this.#flush()
    while (this.#running !== undefined) await this.#running
    clearTimeout(this.#timer)
    await this.#kept.close()
  }

  async #subscribe(channel: Channel): Promise<void> {
    const { queue, maxBatch, prepare, log } = this.#options
    await prepare(channel)
    await channel.prefetch(maxBatch * 2)
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (message !== null) return this.#take(message)
      log.warn({ queue }, 'broker cancelled the consumer')
      void channel.close().catch(() => undefined) // its loss opens a new one
    })
    this.#consumerTag = consumerTag
  }

  #take(message: ConsumeMessage): void {
    this.#buffer.push(message)
    if (this.#buffer.length >= this.#options.maxBatch) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), this.#options.maxWaitMs)
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const channel = this.#kept.current
    if (this.#running !== undefined || channel === undefined || this.#buffer.length === 0) return
    const batch = this.#buffer.splice(0, this.#options.maxBatch)
    this.#running = this.#work(channel, batch).finally(() => {
      this.#running = undefined
      this.#flush()
    })
  }

  /** Delivery tags count per channel: a batch is acked on the channel it came from, or not at all. */
  async #work(channel: Channel, batch: readonly ConsumeMessage[]): Promise<void> {
    for (let delay = 200; this.#kept.current === channel; delay = Math.min(delay * 2, 5_000)) {
      try {
        await this.#options.handle(batch)
        const last = batch.at(-1)
        if (last !== undefined && this.#kept.current === channel) channel.ack(last, true)
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
