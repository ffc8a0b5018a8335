/** A TCP proxy in front of a server, for tests that take the server away without touching it. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

export class Proxy {
  readonly #target: { host: string; port: number }
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0
  #silent = false

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

  /** Lets everything through again. */
  async restore(): Promise<void> {
    this.#silent = false
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
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from)
      from.on('data', (chunk) => to.write(chunk))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      if (this.#silent) from.pause()
    }
  }
}
