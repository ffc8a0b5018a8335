/** A cable between a client and a server that a test can pull. */
import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'

export interface Cable {
  /** The server's URL, with the cable's end as its host and port. */
  url: string
  /** Cuts every connection that runs through the cable; new ones may follow at once. */
  pull(): void
  close(): Promise<void>
}

export async function cableTo(serverUrl: string, defaultPort: number): Promise<Cable> {
  const target = new URL(serverUrl)
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(Number(target.port) || defaultPort, target.hostname)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => other.destroy()) // a pulled cable is what this is for
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = new URL(serverUrl)
  url.hostname = '127.0.0.1'
  url.port = String(typeof address === 'object' && address !== null ? address.port : 0)
  const pull = () => sockets.forEach((socket) => socket.destroy())
  return {
    url: url.href,
    pull,
    async close() {
      const closed = once(server, 'close')
      server.close()
      pull()
      await closed
    },
  }
}
