import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { fairTurns, type RequestHandler } from './fair-turns.ts'
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
  /** Answers what never became a request, and closes the socket; Node answers by itself without. */
  onBroken?: (error: NodeJS.ErrnoException, socket: Duplex) => void
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
  const { inFlight = new InFlight(Infinity), onBroken, limits } = edge
  const server = createServer({ ...LIMITS, ...limits }, fairTurns(handler, inFlight))
  // Past a number, Node drops headers without a word: those that a proxy has appended. Their size is limited.
  server.maxHeadersCount = 0
  if (onBroken !== undefined) server.on('clientError', onBroken)
  server.listen(port, host)
  await once(server, 'listening')
  return server
}

/** Takes no new connections, lets the requests in hand finish (up to `withinMs`), then closes. */
export async function closeServer(server: Server, withinMs = 8_000): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  // Keep-alive connections that finish a request meanwhile become idle again and would hold the server open.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const limit = setTimeout(() => server.closeAllConnections(), withinMs)
  await closed
  clearInterval(sweep)
  clearTimeout(limit)
}
