import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { InFlight } from './in-flight.ts'

/** Requests begun in one turn of the event loop: as many as keep it short, within these bounds. */
const PER_TURN = { first: 8, least: 4, most: 64 }
const TURN_MS = 4

/** Resolves when the request is answered, or when a stream of answers is set up. Never rejects. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/**
 * Begins requests in the order in which they came, a few in each turn of the event loop: more when the last turn was
 * short, so that what they write to the stores goes out together, and fewer when it was long.
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
  let perTurn = PER_TURN.first
  let beganAtMs: number | undefined

  async function work(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await handler(request, response)
    } finally {
      inFlight.leave(request)
    }
  }

  function beginSome(): void {
    const now = performance.now()
    if (beganAtMs !== undefined) perTurn = nextPerTurn(perTurn, now - beganAtMs)
    scheduled = waiting.length > 0
    beganAtMs = scheduled ? now : undefined
    if (!scheduled) return
    for (const [request, response] of waiting.splice(0, perTurn)) void work(request, response)
    setImmediate(beginSome) // also when none waits: what was begun goes on in this turn, which is then known to be long
  }

  return (request, response) => {
    if (inFlight.enter(request) === 'excess') return void handler(request, response)
    waiting.push([request, response])
    if (scheduled) return
    scheduled = true
    setImmediate(beginSome)
  }
}

function nextPerTurn(perTurn: number, tookMs: number): number {
  return tookMs < TURN_MS ? Math.min(perTurn * 2, PER_TURN.most) : Math.max(perTurn / 2, PER_TURN.least)
}
