import { createServer, type RequestListener, type Server } from 'node:http'
import { once } from 'node:events'
import { fairTurns } from './fair-turns.ts'

/** Limits against slow and endless requests; Node answers 408 or 431 by itself. */
const LIMITS = {
  requestTimeout: 15_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16_384,
}

/**
 * Listens on host and port.
 * @throws the listen error with its `code` and `port`, for example EADDRINUSE
 */
export async function listen(handler: RequestListener, host: string, port: number): Promise<Server> {
  const server = createServer(LIMITS, fairTurns(handler))
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
