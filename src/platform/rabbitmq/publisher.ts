import type { Writable } from 'node:stream'
import type { ConfirmChannel, Message } from 'amqplib'
import type { Logger } from '../logger.ts'
import { activeTraceparent, isTracing, span } from '../telemetry/trace.ts'
import { KeptChannel, type RabbitConnection } from './connection.ts'

export interface OutgoingMessage {
  routingKey: string
  /** Identifies what the message is about; consumers are idempotent by it. */
  messageId: string
  body: Buffer
  headers?: Record<string, string | number>
}

/**
 * - `confirmed`: the broker has it on a quorum of disks and in a queue
 * - `unroutable`: the broker took it and had no queue for it
 * - `refused`: the broker said no, there is no channel, or too many messages wait already; nothing is under way
 * - `unknown`: the channel died or time ran out; the message may or may not arrive
 */
export type PublishOutcome = 'confirmed' | 'unroutable' | 'refused' | 'unknown'

interface PublisherOptions {
  connection: RabbitConnection
  exchange: string
  /** Messages that may wait for their confirm at the same time; `hasRoom` is false beyond it. */
  maxUnconfirmed: number
  prepare: (channel: ConfirmChannel) => Promise<void>
  /** Headers that every message gets; its own may not replace them. */
  headersOf?: (message: OutgoingMessage) => Record<string, string>
  /** Hears what became of each message. */
  onOutcome?: (message: OutgoingMessage, outcome: PublishOutcome) => void
  log: Logger
}

/** Publishes persistent, mandatory messages and tells what became of each. Never throws for a publish. */
export class ConfirmPublisher {
  readonly #options: PublisherOptions
  readonly #kept: KeptChannel<ConfirmChannel>
  /**
   * Correlation ids that the broker returned; a return precedes its own ack, and the ack alone would look like success.
   * Each is taken out when its message is settled, by the loss of the channel at the latest.
   */
  readonly #returned = new Set<string>()
  #unconfirmed = 0
  #sequence = 0
  #blocked = false
  readonly #block = () => void (this.#blocked = true)
  readonly #unblock = () => void (this.#blocked = false)
  /** Whether the socket waits for the rest of this turn. */
  #collecting = false
  #whenIdle: (() => void)[] = []

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#kept = new KeptChannel<ConfirmChannel>({
      open: () => options.connection.createConfirmChannel(),
      prepare: async (channel) => {
        channel.on('return', (message: Message) => this.#returned.add(message.properties.correlationId))
        await options.prepare(channel)
      },
      log: options.log,
    })
  }

  async start(): Promise<void> {
    const { connection } = this.#options
    connection.on('blocked', this.#block)
    connection.on('unblocked', this.#unblock)
    connection.on('disconnect', this.#unblock) // a new connection is blocked anew, as soon as it publishes
    await this.#kept.open()
  }

  /** False when too many messages wait for their confirm; whoever can refuse work does so then. */
  get hasRoom(): boolean {
    return this.#unconfirmed < this.#options.maxUnconfirmed
  }

  /**
   * True while the broker, short of memory or disk, reads nothing of what is published. It has the messages when its
   * alarm is over; until then their outcome is `unknown`.
   */
  get isBlocked(): boolean {
    return this.#blocked
  }

  /** False while there is no channel to the broker. */
  get isOpen(): boolean {
    return this.#kept.current !== undefined
  }

  /**
   * Publishes one message and waits for its confirm. In an open trace, the message carries its `traceparent`: a header
   * that no signature covers, as nothing but the trace depends on it.
   * @param withinMs after this time the answer is `unknown`; the message may still arrive
   */
  async publish(message: OutgoingMessage, withinMs = 10_000): Promise<PublishOutcome> {
    const outcome = await (isTracing() ? this.#sendTraced(message, withinMs) : this.#send(message, withinMs))
    this.#options.onOutcome?.(message, outcome)
    return outcome
  }

  #sendTraced(message: OutgoingMessage, withinMs: number): Promise<PublishOutcome> {
    return span(
      `publish ${message.routingKey}`,
      {
        kind: 'PRODUCER',
        attributes: { 'messaging.message.id': message.messageId },
        outcome: (outcome) => outcome,
      },
      () => {
        const traceparent = activeTraceparent()
        const headers = { ...message.headers, ...(traceparent === undefined ? {} : { traceparent }) }
        return this.#send({ ...message, headers }, withinMs)
      },
    )
  }

  #send(message: OutgoingMessage, withinMs: number): Promise<PublishOutcome> {
    const channel = this.#kept.current
    if (channel === undefined || !this.hasRoom) return Promise.resolve('refused')
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve('unknown'), withinMs)
      const correlationId = String(++this.#sequence)
      this.#unconfirmed++
      const settle = (error: Error | null) => {
        clearTimeout(timer)
        this.#settled()
        const returned = this.#returned.delete(correlationId)
        // A channel that first publishes to a quorum queue between two of its leaders keeps asking the node that is gone,
        // and refuses all that follows (RabbitMQ 3.10, `reject_publish` in `rabbit_fifo_client:enqueue`); a new one finds
        // the leader. A queue that is full refuses too: what else is under way is `unknown` then, once a second.
        if (isNack(error)) void this.#kept.renew(channel)
        resolve(outcomeOf(error, returned))
      }
      try {
        channel.publish(
          this.#options.exchange,
          message.routingKey,
          message.body,
          {
            persistent: true,
            mandatory: true,
            contentType: 'application/json',
            messageId: message.messageId,
            correlationId,
            headers: { ...message.headers, ...this.#options.headersOf?.(message) },
          },
          settle,
        )
        this.#collect(channel)
      } catch (error) {
        settle(error as Error) // the channel died since it was read: nothing was sent
      }
    })
  }

  /** Waits until every message has its confirm or its loss, at most `withinMs`, then closes the channel. */
  async stop(withinMs = 2_000): Promise<void> {
    if (this.#unconfirmed > 0) {
      let timer: NodeJS.Timeout | undefined
      const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, withinMs)))
      await Promise.race([new Promise<void>((resolve) => this.#whenIdle.push(resolve)), limit])
      clearTimeout(timer)
    }
    const { connection } = this.#options
    connection.off('blocked', this.#block)
    connection.off('unblocked', this.#unblock)
    connection.off('disconnect', this.#unblock)
    await this.#kept.close()
  }

  /**
   * Lets what is published in one turn of the event loop leave in one write: a busy broker was seen to take half the time for it.
   * The library writes each message by itself, in an immediate that it schedules in a tick after the publish: ours, which
   * is scheduled a tick later, comes behind it.
   */
  #collect(channel: ConfirmChannel): void {
    if (this.#collecting) return
    this.#collecting = true
    const socket = socketOf(channel)
    socket.cork()
    process.nextTick(() =>
      setImmediate(() => {
        this.#collecting = false
        socket.uncork()
      }),
    )
  }

  #settled(): void {
    this.#unconfirmed--
    if (this.#unconfirmed > 0) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }
}

/** The library keeps it to itself; a test counts its writes. */
function socketOf(channel: ConfirmChannel): Writable {
  return (channel.connection as unknown as { stream: Writable }).stream
}

function outcomeOf(error: Error | null, returned: boolean): PublishOutcome {
  if (error === null || error === undefined) return returned ? 'unroutable' : 'confirmed'
  return isNack(error) ? 'refused' : 'unknown'
}

function isNack(error: Error | null): boolean {
  return error?.message === 'message nacked'
}
