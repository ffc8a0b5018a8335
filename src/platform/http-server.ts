import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fairTurns, type Door, type RequestHandler } from './fair-turns.ts'
import { InFlight } from './in-flight.ts'

/** Limits against slow and endless requests. */
const LIMITS = {
  requestTimeout: 15_000,
  headersTimeout: 10_000,
  connectionsCheckingInterval: 1_000, // Node looks for requests that are over their time this often
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16_384,
}

export interface Edge {
  /** Bounds the requests in hand; unbounded without. */
  inFlight?: InFlight
  /** Turns away what is too much before the handler sees it. */
  door?: Door
  /** Answers what never became a request, and closes the socket; Node answers by itself without. */
  onBroken?: (error: NodeJS.ErrnoException, socket: Duplex) => void
  /** Hears what went wrong with the server itself after it has begun to listen. */
  onError?: (error: Error) => void
  /** Shorter times than the usual ones. */
  limits?: Partial<typeof LIMITS>
}

/**
 * Listens on host and port.
 * @throws the listen error with its `code` and `port`, for example EADDRINUSE
 */
export async function listen(
  handler: RequestHandler,
  host: string,
  port: number,
  edge: Edge = {},
): Promise<Server> {
  const { inFlight = new InFlight(Infinity), door, onBroken, onError, limits } = edge
  const server = createServer(
    { ...LIMITS, ...limits },
    fairTurns(handler, { inFlight, ...(door === undefined ? {} : { door }) }),
  )
  // Past a number, Node drops headers without a word: those that a proxy has appended. Their size is limited.
  server.maxHeadersCount = 0
  if (onBroken !== undefined) server.on('clientError', onBroken)
  // Node refuses expectations other than 100-continue with an empty 417; RFC 9110 lets a server go on without.
  server.on('checkExpectation', (...call) => server.emit('request', ...call))
  noteUnused(server)
  server.listen(port, host)
  await once(server, 'listening')
  // A connection that could not be accepted, for want of descriptors, is one buyer's trouble and not the end of all.
  server.on('error', (error) => onError?.(error))
  return server
}

/** Connections of a server on which no request has come yet. */
const unused = new WeakMap<Server, Set<Socket>>()
/** What was sent when a server began to close has arrived by then. */
const LAST_REQUESTS_MS = 500

function noteUnused(server: Server): void {
  const sockets = new Set<Socket>()
  unused.set(server, sockets)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('request', ({ socket }) => sockets.delete(socket))
}

/** Takes no new connections, lets the requests in hand finish (up to `withinMs`), then closes. */
export async function closeServer(server: Server, withinMs = 8_000): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  // Keep-alive connections that finish a request meanwhile become idle again and would hold the server open.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  // Those that browsers and proxies have opened ahead are not idle to Node, and would hold it open to the end.
  const ahead = setTimeout(() => unused.get(server)?.forEach((socket) => socket.destroy()), LAST_REQUESTS_MS)
  const limit = setTimeout(() => server.closeAllConnections(), withinMs)
  await closed
  clearInterval(sweep)
  clearTimeout(ahead)
  clearTimeout(limit)
}
