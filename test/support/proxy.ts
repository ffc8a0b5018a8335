/** A TCP proxy in front of a server, for tests that take the server away without touching it. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export class Proxy {
  readonly #target: { host: string; port: number }
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0
  #silent = false
  #delayMs = 0
  #repliesToDrop = 0

  private constructor(target: { host: string; port: number }) {
    this.#target = target
  }

  /** @param url of the server to stand in front of */
  static async before(url: string): Promise<Proxy> {
    const { hostname, port } = new URL(url)
    const proxy = new Proxy({ host: hostname, port: Number(port) })
    await proxy.restore()
    return proxy
  }

  /** The given URL, leading through this proxy. */
  urlOf(url: string): string {
    const through = new URL(url)
    through.hostname = '127.0.0.1'
    through.port = String(this.#port)
    return through.href
  }

  /** Breaks all connections and refuses new ones, like a server that is down. */
  async cut(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    server?.close()
    for (const socket of this.#sockets) socket.destroy()
    if (server !== undefined) await once(server, 'close')
  }

  /** Keeps all connections and lets nothing through, like a network that has gone. */
  fallSilent(): void {
    this.#silent = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** Breaks all connections in the rudest way, with a RST; new ones are welcome. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** From now on, whatever passes takes this much longer, each way. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** The next request reaches the server; its reply is lost, and the connection with it. May be called several times. */
  dropNextReply(): void {
    this.#repliesToDrop++
  }

  /** Lets everything through again, at once. */
  async restore(): Promise<void> {
    this.#silent = false
    this.#delayMs = 0
    this.#repliesToDrop = 0
    for (const socket of this.#sockets) socket.resume()
    if (this.#server !== undefined) return
    this.#server = createServer((socket) => this.#join(socket))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (typeof address === 'object' && address !== null) this.#port = address.port
  }

  #join(client: Socket): void {
    const server = connect(this.#target)
    let doomed = false
    this.#carry(client, server, () => {
      if (this.#repliesToDrop === 0) return
      this.#repliesToDrop--
      doomed = true
    })
    this.#carry(server, client, () => {
      if (doomed) client.resetAndDestroy()
    })
  }

  /** @param onChunk may end the connection before the chunk is passed on */
  #carry(from: Socket, to: Socket, onChunk: () => void): void {
    let passed = Promise.resolve()
    let waiting = 0
    this.#sockets.add(from)
    from.on('data', (chunk) => {
      onChunk()
      if (this.#delayMs === 0 && waiting === 0) return pass(to, chunk)
      // What comes later stays behind, also when it is delayed less.
      const due = sleep(this.#delayMs)
      waiting++
      passed = passed
        .then(() => due)
        .then(() => {
          waiting--
          pass(to, chunk)
        })
    })
    from.on('error', () => to.destroy())
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
    if (this.#silent) from.pause()
  }
}

function pass(to: Socket, chunk: Buffer): void {
  if (!to.destroyed) to.write(chunk)
}
