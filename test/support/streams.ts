/** A buyer's view of the stream of a reservation. */
import { expect } from 'chai'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import type { Verdict } from './buying.ts'
import { until } from './wait.ts'
import type { World } from './world.ts'

export interface SentEvent {
  event: string
  id: string
  data: Verdict
}

export interface Stream {
  headers: Headers
  /** All that has come so far. */
  text: () => string
  events: () => SentEvent[]
  /** Waits until the server has sent this many events. */
  received(count: number): Promise<SentEvent[]>
  /** Resolves when the server has ended the stream. */
  ended: Promise<void>
  /** Hangs up. */
  leave(): void
}

/** Opens a stream that has to be there. */
export async function openStream(
  world: Pick<World, 'apiUrl'>,
  rid: string,
  buyer: LoadBuyer,
): Promise<Stream> {
  const abort = new AbortController()
  const response = await fetch(`${world.apiUrl}/api/v1/reservations/${rid}/stream`, {
    headers: { authorization: `Bearer ${buyer.access_token}` },
    signal: abort.signal,
  })
  if (response.status !== 200 || response.body === null)
    throw new Error(`no stream: ${response.status} ${await response.text()}`)
  let text = ''
  const read = async (body: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder()
    for await (const chunk of body) text += decoder.decode(chunk, { stream: true })
  }
  const ended = read(response.body).catch((error: unknown) => {
    if (!abort.signal.aborted) throw error
  })
  const events = () => eventsOf(text)
  return {
    headers: response.headers,
    text: () => text,
    events,
    received: (count) => until(`${count} events`, () => events().length >= count && events()),
    ended,
    leave: () => abort.abort(),
  }
}

/** Whole events only; what is not told in the fields of one is left out. */
export function eventsOf(text: string): SentEvent[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .map((block) => new Map(block.split('\n').map((line) => fieldOf(line))))
    .filter((fields) => fields.has('data'))
    .map((fields) => ({
      event: fields.get('event') ?? '',
      id: fields.get('id') ?? '',
      data: JSON.parse(fields.get('data') ?? '') as Verdict,
    }))
}

function fieldOf(line: string): [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon), line.slice(colon + 1).trimStart()]
}

/** Subscribers of the event's channel, over all processes. */
export async function subscribers(world: World, eventId: string): Promise<number> {
  const [, count] = (await world.redis.pubsub('NUMSUB', `{spike:${eventId}}:notices`)) as [string, number]
  return count
}

export async function expectNoSubscriber(world: World, eventId: string): Promise<void> {
  await until('the subscription to end', async () => (await subscribers(world, eventId)) === 0)
  expect(await subscribers(world, eventId)).to.equal(0)
}
