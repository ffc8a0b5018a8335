import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { InFlight } from './in-flight.ts'

/** Requests begun in one turn of the event loop: as many as keep it short, within these bounds. */
const PER_TURN = { first: 8, least: 4, most: 64 }
const TURN_MS = 4
/** For as many refused in a turn, which make it long, one more begins. */
const REFUSED_FOR_ONE = 4

/** Resolves when the request is answered, or when a stream of answers is set up. Never rejects. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

export interface Turns {
  inFlight: InFlight
  /** Turns away what is too much; the handler gets it at once without, and there is no crowd then. */
  door?: Door
}

export interface Door {
  /** Answers at once what takes no work. @returns whether it did */
  answerKnown: (request: IncomingMessage, response: ServerResponse) => boolean
  /** True for requests of which too many may come at once; they are turned away before others. */
  isOfCrowd: (request: IncomingMessage) => boolean
  /** Answers one request too many. @returns false for what is to be handled all the same */
  refuse: (request: IncomingMessage, response: ServerResponse) => boolean
}

/**
 * Begins requests in the order in which they came, a few in each turn of the event loop: more when the last turn was
 * short, so that what they write to the stores goes out together, and fewer when it was long.
 *
 * Node accepts one new connection a turn (libuv since 1.45). When hundreds of connections each have a request
 * ready, a turn that begins them all takes hundreds of milliseconds, and a new connection, be it a health check,
 * waits for seconds behind it. Short turns let everything else, answers of the stores too, have its turn. Where
 * refusals make turns long, more begin in each, or nobody would be served but the refused.
 *
 * The line is bounded: what comes when `inFlight` is full is refused at once.
 */
export function fairTurns(handler: RequestHandler, { inFlight, door }: Turns): RequestListener {
  const waiting: Parameters<RequestHandler>[] = []
  let scheduled = false
  let perTurn = PER_TURN.first
  let beganAtMs: number | undefined
  let refused = 0

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
    const count = perTurn + Math.floor(refused / REFUSED_FOR_ONE)
    refused = 0
    for (const [request, response] of waiting.splice(0, count)) void work(request, response)
    setImmediate(beginSome) // also when none waits: what was begun goes on in this turn, which is then known to be long
  }

  return (request, response) => {
    if (door?.answerKnown(request, response) === true) return
    if (inFlight.enter(request, door?.isOfCrowd(request)) === 'excess') {
      refused++
      if (door?.refuse(request, response) !== true) void handler(request, response)
      return
    }
    waiting.push([request, response])
    if (scheduled) return
    scheduled = true
    setImmediate(beginSome)
  }
}

function nextPerTurn(perTurn: number, tookMs: number): number {
  return tookMs < TURN_MS ? Math.min(perTurn * 2, PER_TURN.most) : Math.max(perTurn / 2, PER_TURN.least)
}
