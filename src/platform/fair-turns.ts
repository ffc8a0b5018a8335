import type { RequestListener } from 'node:http'

/** Requests begun in one turn of the event loop; a few milliseconds of work. */
const REQUESTS_PER_TURN = 8

/**
 * Begins requests in the order in which they came, a few in each turn of the event loop.
 *
 * Node accepts one new connection a turn (libuv since 1.45). When hundreds of connections each have a request
 * ready, a turn that begins them all takes hundreds of milliseconds, and a new connection, be it a health check,
 * waits for seconds behind it. Short turns let everything else, answers of the stores too, have its turn.
 */
export function fairTurns(handler: RequestListener): RequestListener {
  const waiting: Parameters<RequestListener>[] = []
  let scheduled = false

  function beginSome(): void {
    for (const [request, response] of waiting.splice(0, REQUESTS_PER_TURN)) handler(request, response)
    scheduled = waiting.length > 0
    if (scheduled) setImmediate(beginSome)
  }

  return (request, response) => {
    waiting.push([request, response])
    if (scheduled) return
    scheduled = true
    setImmediate(beginSome)
  }
}
