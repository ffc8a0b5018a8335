/** One purchase sent twice: as it is usually sent, and so that it takes the general way through the API. */
import { request } from 'node:http'
import { expect } from 'chai'

export interface Answer {
  status: number
  /** Names and values as they were written. */
  headers: [name: string, value: string][]
  body: Record<string, unknown>
}

export interface Purchase {
  headers?: Record<string, string>
  body?: string
  /** The body is sent in chunks, so that nothing announces its length. */
  chunked?: boolean
}

/** What no two answers share. */
const OWN_HEADERS = new Set(['date', 'x-request-id', 'content-length', 'location'])
const OWN_DATA = new Set(['reservation_id', 'starts_in_ms'])

/** Sends a purchase. @param query makes it unusual when it is not empty */
export function sendPurchase(
  apiUrl: string,
  eventId: string,
  { headers = {}, body, chunked = false }: Purchase,
  query = '',
): Promise<Answer> {
  const length = body === undefined || chunked ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
  return new Promise((resolve, reject) => {
    const sent = request(
      `${apiUrl}/api/v1/spike-events/${eventId}/orders${query}`,
      {
        method: 'POST',
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...length,
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const raw = response.rawHeaders
          const pairs = raw.flatMap((name, i): [string, string][] =>
            i % 2 === 0 ? [[name, raw[i + 1] ?? '']] : [],
          )
          resolve({
            status: response.statusCode ?? 0,
            headers: pairs,
            body: JSON.parse(Buffer.concat(chunks).toString('utf8')),
          })
        })
      },
    )
    sent.on('error', reject)
    if (chunked && body !== undefined) {
      sent.write(body.slice(0, 1))
      sent.end(body.slice(1))
    } else sent.end(body)
  })
}

/** Sees that two answers say the same in the same words, apart from what no two answers share. */
export function expectSame(usual: Answer, general: Answer): void {
  // The general way writes this one first: else the two were sent one way.
  expect(usual.headers[0]?.[0], 'the usual way').to.not.equal('X-Request-Id')
  expect(general.headers[0]?.[0], 'the general way').to.equal('X-Request-Id')
  // What is refused in front of the routes is not known to be a purchase there, so it lacks this one.
  if (!general.headers.some(([name]) => name === 'Cache-Control'))
    general.headers.push(['Cache-Control', 'no-store'])
  expect(wordsOf(usual)).to.deep.equal(wordsOf(general))
}

function wordsOf({ status, headers: asWritten, body }: Answer) {
  const headers = asWritten.toSorted(([a], [b]) => a.localeCompare(b))
  const own = headers.filter(([name]) => OWN_HEADERS.has(name.toLowerCase()))
  return {
    status,
    headers: headers.filter(([name]) => !OWN_HEADERS.has(name.toLowerCase())),
    namesOfOwn: own.map(([name]) => name),
    body: { ...body, request_id: typeof body.request_id, data: withoutOwn(body.data) },
  }
}

function withoutOwn(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => [name, OWN_DATA.has(name) ? typeof value : value]),
  )
}
