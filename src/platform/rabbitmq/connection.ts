import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type Channel, type ConfirmChannel, type RecoveringChannelModel } from 'amqplib'
import type { Logger } from '../logger.ts'
import { firstContact } from '../service-error.ts'
import { withinTime } from '../time-limit.ts'

export type RabbitConnection = RecoveringChannelModel

/**
 * Connects to RabbitMQ and keeps the connection alive across broker restarts. Publishers and consumers
 * each take a connection of their own, because a broker alarm blocks a whole connection.
 * @throws ServiceError when the first connection fails
 */
export async function connectRabbit(url: string, name: string, log: Logger): Promise<RabbitConnection> {
  return firstContact({ name: 'RabbitMQ', setting: 'AMQP_URL', url }, async () => {
    const connection = await connect(withHeartbeat(url), {
      noDelay: true, // the library turns Nagle on: 44 ms a confirm instead of 1 ms
      clientProperties: { connection_name: name },
      recovery: { initialMaxRetries: 0, initialDelay: 200, maxDelay: 5_000 },
    })
    connection.on('error', (error) => log.warn({ err: error.message }, 'rabbitmq connection error'))
    connection.on('disconnect', (error) => log.warn({ err: error?.message }, 'rabbitmq connection lost'))
    connection.on('connect', () => log.info('rabbitmq connection is back'))
    connection.on('blocked', (reason) => log.warn({ reason }, 'rabbitmq blocks publishers'))
    connection.on('unblocked', () => log.info('rabbitmq lets publishers go on'))
    return connection
  })
}

/** A silent connection counts as lost after two of these. */
const HEARTBEAT_S = 10

function withHeartbeat(url: string): string {
  const target = new URL(url)
  if (!target.searchParams.has('heartbeat')) target.searchParams.set('heartbeat', String(HEARTBEAT_S))
  return target.href
}

/** A broker that blocks its publishers does not answer a close either: it is not waited for longer than this. */
const CLOSE_WITHIN_MS = 1_000

/** Closes a connection, or leaves it to the end of the process when the broker does not answer. */
export async function closeRabbit(connection: RabbitConnection): Promise<void> {
  await withinTime(connection.close(), CLOSE_WITHIN_MS)
}

interface KeepChannelOptions<C> {
  open: () => Promise<C>
  /** Declares what the channel needs; runs again on every new channel. */
  prepare: (channel: C) => Promise<void>
  /** Called once for each channel that is gone; nothing that came over it may be acked any more. */
  lost: (channel: C) => void
  log: Logger
}

/**
 * One channel that is replaced when it is lost. The library re-runs its set-up after a lost connection only,
 * not after a channel that the broker closed (404, 406), so the channel is watched here for both. A channel is
 * the current one when it is prepared, and at most one is being opened at any time.
 */
export class KeptChannel<C extends Channel | ConfirmChannel> {
  #current: C | undefined
  #closed = false
  #reopening = false
  readonly #options: KeepChannelOptions<C>

  constructor(options: KeepChannelOptions<C>) {
    this.#options = options
  }

  /** The open channel, or undefined while there is none. */
  get current(): C | undefined {
    return this.#current
  }

  /** Opens the first channel. @throws when the broker refuses what `prepare` declares */
  async open(): Promise<void> {
    const channel = await this.#options.open()
    let isGone = false
    channel.on('error', (error) => this.#options.log.warn({ err: error.message }, 'rabbitmq channel error'))
    channel.on('close', () => {
      isGone = true
      this.#onClose(channel)
    })
    try {
      await this.#options.prepare(channel)
      if (this.#closed) throw new Error('closed while it was prepared')
    } catch (error) {
      if (!isGone) await closeChannel(channel)
      throw error
    }
    if (isGone) throw new Error('lost while it was prepared')
    this.#current = channel
  }

  async close(): Promise<void> {
    this.#closed = true
    const channel = this.#current
    this.#current = undefined
    if (channel !== undefined) await closeChannel(channel)
  }

  #onClose(channel: C): void {
    this.#options.lost(channel)
    if (this.#current !== channel) return
    this.#current = undefined
    if (!this.#reopening) void this.#reopen()
  }

  async #reopen(): Promise<void> {
    this.#reopening = true
    for (let delay = 100; !this.#closed && this.#current === undefined; delay = Math.min(delay * 2, 5_000)) {
      try {
        await this.open()
      } catch (error) {
        this.#options.log.warn({ err: (error as Error).message }, 'rabbitmq channel did not open')
        await sleep(delay)
      }
    }
    this.#reopening = false
  }
}

/** A channel that is gone with its connection, or whose broker is silent, leaves nothing to wait for. */
async function closeChannel(channel: Channel | ConfirmChannel): Promise<void> {
  await withinTime(channel.close(), CLOSE_WITHIN_MS).catch(() => undefined)
}
