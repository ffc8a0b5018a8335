import type { Redis } from 'ioredis'
import type { Logger } from '../logger.ts'

interface Channel {
  /** Settles when the server has taken the subscription. */
  ready: Promise<unknown>
  /** By message: whom it is for. */
  calls: Map<string, Set<() => void>>
}

/**
 * Listens to messages for many waiters on one connection. A channel is subscribed to while somebody waits on it, and
 * a message wakes only those who wait for it. Pub/sub forgets what it could not deliver, so every waiter is woken
 * when the connection is back: to be woken means "look again", never "this has happened".
 */
export class Subscriber {
  readonly #redis: Redis
  readonly #log: Logger
  readonly #channels = new Map<string, Channel>()

  /** @param redis a client of its own, made with `createSubscriberRedis` */
  constructor(redis: Redis, log: Logger) {
    this.#redis = redis
    this.#log = log
    redis.on('message', (channel: string, message: string) => {
      for (const call of this.#channels.get(channel)?.calls.get(message) ?? []) call()
    })
    redis.on('ready', () => void this.#resume())
  }

  /**
   * Calls back whenever `message` is heard on `channel`, from the moment this resolves.
   * @returns how to leave; to be called once
   * @throws when Redis does not take the subscription
   */
  async join(name: string, message: string, call: () => void): Promise<() => void> {
    const channel = this.#channels.get(name) ?? this.#open(name)
    const calls = channel.calls.get(message) ?? new Set()
    channel.calls.set(message, calls.add(call))
    const leave = () => {
      calls.delete(call)
      if (calls.size === 0) channel.calls.delete(message)
      if (channel.calls.size === 0) this.#close(name, channel)
    }
    try {
      await channel.ready
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  #open(name: string): Channel {
    const channel = { ready: this.#redis.subscribe(name), calls: new Map() }
    this.#channels.set(name, channel)
    return channel
  }

  /** Commands keep their order on the connection, so whoever comes next subscribes after this. */
  #close(name: string, channel: Channel): void {
    if (this.#channels.get(name) !== channel) return
    this.#channels.delete(name)
    // A connection that is gone has no subscriptions left.
    this.#redis
      .unsubscribe(name)
      .catch((error: unknown) => this.#log.debug({ err: error }, 'not unsubscribed'))
  }

  /** A new connection has no subscriptions: takes them again, then wakes everybody. */
  async #resume(): Promise<void> {
    const names = [...this.#channels.keys()]
    if (names.length === 0) return
    try {
      await this.#redis.subscribe(...names)
    } catch (error) {
      this.#log.warn({ err: error }, 'not subscribed again')
      if (this.#redis.status === 'ready') this.#redis.disconnect(true) // the next connection tries again
      return
    }
    for (const name of names)
      for (const calls of this.#channels.get(name)?.calls.values() ?? []) for (const call of calls) call()
  }
}
