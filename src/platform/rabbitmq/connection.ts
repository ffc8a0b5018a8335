import { setTimeout as sleep } from 'node:timers/promises'
import {
  connect,
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type Options,
  type RecoveringChannelModel,
} from 'amqplib'
import type { Logger } from '../logger.ts'
import { nodeUrls } from '../node-urls.ts'
import { firstContact, hostOf } from '../service-error.ts'
import { withinTime } from '../time-limit.ts'

export type RabbitConnection = RecoveringChannelModel

/** A silent connection counts as lost after two of these. */
const HEARTBEAT_S = 10
/** Bytes; a turn of the event loop that publishes more leaves in several writes. */
const WRITE_AT_ONCE = 256 * 1_024
/** A node that does not answer a login for so long is passed over: it may be frozen, and others are there. */
const LOGIN_WITHIN_MS = 3_000
const FIRST_CONTACT_MS = 5_000

/**
 * Connects to RabbitMQ and keeps the connection alive across broker restarts. Of a cluster, the nodes are tried in
 * turn, beginning with the first that the URL names; a lost connection goes on with the node after the lost one.
 * Publishers and consumers each take a connection of their own, because a broker alarm blocks a whole connection.
 * @throws ServiceError when no node lets us in
 */
export async function connectRabbit(url: string, name: string, log: Logger): Promise<RabbitConnection> {
  const nodes = nodeUrls(url)
  const timeoutMs = FIRST_CONTACT_MS + (nodes.length - 1) * LOGIN_WITHIN_MS
  return firstContact(
    { name: 'RabbitMQ', setting: 'AMQP_URL', url },
    () => contact(nodes, name, log),
    timeoutMs,
  )
}

async function contact(nodes: readonly string[], name: string, log: Logger): Promise<RabbitConnection> {
  let place = 0
  const current = () => nodes[place % nodes.length] ?? ''
  const target = targetOf(current())
  const connection = await connect(target, {
    ...socketOptions(name),
    recovery: {
      waitForConnect: false, // the first attempts have to be heard of, too
      initialMaxRetries: nodes.length - 1,
      initialDelay: 50, // another node is there already
      maxDelay: 5_000,
    },
  })
  const tell = (what: string) => (error?: Error) =>
    log.warn({ node: hostOf(current()), err: error?.message }, what)
  connection.on('connect-failed', tell('rabbitmq node lets nobody in'))
  connection.on('error', tell('rabbitmq connection error'))
  connection.on('disconnect', tell('rabbitmq connection lost'))
  // Follows a loss and a failure. The library reads the target before every attempt.
  connection.on('reconnect-scheduled', () => {
    place++
    Object.assign(target, targetOf(current()))
  })
  connection.on('blocked', (reason) => log.warn({ reason }, 'rabbitmq blocks publishers'))
  connection.on('unblocked', () => log.info('rabbitmq lets publishers go on'))
  await connection.waitForConnect()
  connection.on('connect', () => log.info({ node: hostOf(current()) }, 'rabbitmq connection is back'))
  return connection
}

/**
 * Connects once, for tools that are soon done, to the first node that lets us in.
 * @throws what the last node answered
 */
export async function connectOnce(url: string, name: string): Promise<ChannelModel> {
  let refusal: unknown
  for (const node of nodeUrls(url)) {
    try {
      return await connect(targetOf(node), socketOptions(name))
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}

function socketOptions(name: string) {
  return {
    writableHighWaterMark: WRITE_AT_ONCE,
    noDelay: true, // the library turns Nagle on: 44 ms a confirm instead of 1 ms
    timeout: LOGIN_WITHIN_MS,
    clientProperties: { connection_name: name },
  }
}

/** What a node's URL says, in the form whose host and port can be replaced later. */
function targetOf(node: string): Options.Connect {
  const { protocol, hostname, port, username, password, pathname, searchParams } = new URL(node)
  return {
    heartbeat: HEARTBEAT_S,
    ...(Object.fromEntries(searchParams) as object), // the library makes numbers of them
    protocol: protocol.slice(0, -1),
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port), // 0: the protocol's own
    ...(username === '' && password === ''
      ? {}
      : { username: decodeURIComponent(username), password: decodeURIComponent(password) }),
    vhost: pathname.slice(1), // the library decodes it
  }
}

/** A broker that blocks its publishers does not answer a close either: it is not waited for longer than this. */
const CLOSE_WITHIN_MS = 1_000

/** Closes a connection, or leaves it to the end of the process when the broker does not answer. */
export async function closeRabbit(connection: RabbitConnection): Promise<void> {
  await withinTime(connection.close(), CLOSE_WITHIN_MS)
}

const RENEW_EVERY_MS = 1_000

interface KeepChannelOptions<C> {
  open: () => Promise<C>
  /** Declares what the channel needs; runs again on every new channel. */
  prepare: (channel: C) => Promise<void>
  /** Called once for each channel that is gone; nothing that came over it may be acked any more. */
  lost?: (channel: C) => void
  log: Logger
}

/**
 * One channel that is replaced when it is lost, or given up. The library re-runs its set-up after a lost connection only,
 * not after a channel that the broker closed (404, 406), so the channel is watched here for both. A channel is
 * the current one when it is prepared, and at most one is being opened at any time.
 */
export class KeptChannel<C extends Channel | ConfirmChannel> {
  #current: C | undefined
  #closed = false
  #reopening = false
  #renewableAt = 0
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

  /** Replaces a channel that is open and does not do its work, unless one was replaced within the last second. */
  async renew(channel: C): Promise<void> {
    if (channel !== this.#current || performance.now() < this.#renewableAt) return
    this.#renewableAt = performance.now() + RENEW_EVERY_MS
    this.#current = undefined
    await closeChannel(channel)
    await this.#reopen()
  }

  async close(): Promise<void> {
    this.#closed = true
    const channel = this.#current
    this.#current = undefined
    if (channel !== undefined) await closeChannel(channel)
  }

  #onClose(channel: C): void {
    this.#options.lost?.(channel)
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
