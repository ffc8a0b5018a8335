import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { InFlight } from './in-flight.ts'

/** Requests begun in one turn of the event loop; a few milliseconds of work. */
const REQUESTS_PER_TURN = 8

/** Resolves when the request is answered, or when a stream of answers is set up. Never rejects. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/**
 * Begins requests in the order in which they came, a few in each turn of the event loop.
 *
 * Node accepts one new connection a turn (libuv since 1.45). When hundreds of connections each have a request
 * ready, a turn that begins them all takes hundreds of milliseconds, and a new connection, be it a health check,
 * waits for seconds behind it. Short turns let everything else, answers of the stores too, have its turn.
 *
 * The line is bounded: what comes when `inFlight` is full is begun at once, for the handler to refuse it.
 */
export function fairTurns(handler: RequestHandler, inFlight: InFlight): RequestListener {
  const waiting: Parameters<RequestHandler>[] = []
  let scheduled = false

  async function work(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await handler(request, response)
    } finally {
      inFlight.leave(request)
    }
  }

  function beginSome(): void {
    for (const [request, response] of waiting.splice(0, REQUESTS_PER_TURN)) void work(request, response)
    scheduled = waiting.length > 0
    if (scheduled) setImmediate(beginSome)
  }

  return (request, response) => {
    if (inFlight.enter(request) === 'excess') return void handler(request, response)
    waiting.push([request, response])
    if (scheduled) return
    scheduled = true
    setImmediate(beginSome)
  }
}
